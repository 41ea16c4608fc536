"""What holds for every wired step: done once, undone once, in whatever order it is asked."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.fulfilment import FulfilmentStep, Phase, StepRefusedError
from app.domain.order import Order
from tests.fulfilment.mailbox import Mailbox

STEPS = ["reserve_stock", "ship_order", "send_receipt"]
_TABLES = ("stock", "reservations", "shipments", "receipts")

every_step = pytest.mark.parametrize("name", STEPS)
Steps = dict[str, FulfilmentStep]


class World:
    """All that a step may change."""

    def __init__(self, engine: AsyncEngine, mailbox: Mailbox) -> None:
        self._engine = engine
        self._mailbox = mailbox

    async def now(self) -> Any:
        async with self._engine.connect() as connection:
            rows = [
                (await connection.execute(text(f"SELECT * FROM {table} ORDER BY 1"))).all()  # noqa: S608
                for table in _TABLES
            ]
        return rows, len(self._mailbox.received)


@pytest.fixture
def world(engine: AsyncEngine, mailbox: Mailbox) -> World:
    return World(engine, mailbox)


def test_the_plan_reserves_before_the_money_is_taken_and_ships_after(steps: Steps) -> None:
    assert [(step.plan.name, step.plan.phase) for step in steps.values()] == [
        ("reserve_stock", Phase.BEFORE_CAPTURE),
        ("ship_order", Phase.AFTER_CAPTURE),
        ("send_receipt", Phase.AFTER_CAPTURE),
    ]


@every_step
async def test_done_twice_is_done_once(steps: Steps, name: str, order: Order, world: World) -> None:
    before = await world.now()
    reference = await steps[name].run(order)
    once = await world.now()
    assert once != before
    assert await steps[name].run(order) == reference
    assert await world.now() == once


@every_step
async def test_undone_twice_is_undone_once(
    steps: Steps, name: str, order: Order, world: World
) -> None:
    await steps[name].run(order)
    done = await world.now()
    await steps[name].undo(order)
    once = await world.now()
    assert once != done
    await steps[name].undo(order)
    assert await world.now() == once


@every_step
async def test_what_was_undone_is_not_done_again(
    steps: Steps, name: str, order: Order, world: World
) -> None:
    await steps[name].run(order)
    await steps[name].undo(order)
    undone = await world.now()
    with pytest.raises(StepRefusedError):
        await steps[name].run(order)
    assert await world.now() == undone


@every_step
async def test_undone_before_it_was_done_it_is_never_done(
    steps: Steps, name: str, order: Order, world: World, mailbox: Mailbox
) -> None:
    for _ in range(2):
        await steps[name].undo(order)
    undone = await world.now()
    with pytest.raises(StepRefusedError):
        await steps[name].run(order)
    assert await world.now() == undone
    assert mailbox.received == []


@every_step
async def test_doing_and_undoing_at_once_ends_undone(
    steps: Steps, name: str, order: Order, world: World
) -> None:
    step = steps[name]
    await asyncio.gather(step.run(order), step.undo(order), return_exceptions=True)
    await step.undo(order)
    with pytest.raises(StepRefusedError):
        await step.run(order)
    [stock, *_], _mails = await world.now()
    assert stock == [("mug", 10)]
