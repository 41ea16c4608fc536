"""The scheduled pass over the callback inbox, and the one over stranded orders."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from app.activities.callbacks import CallbackActivities
from app.activities.pages import PageDone
from app.activities.stranded import StrandedActivities
from app.db.records import PostgresRecords
from app.domain.delivery import DeliveryUnavailableError
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayEvent
from app.domain.money import Money
from app.domain.order import Order

NOW = datetime.now(UTC)


async def _called_back(records: PostgresRecords, orders: list[str]) -> None:
    for order_id in orders:
        await records.open_order(Order(order_id, Money(100, "usd")))
        await records.take_callback(
            GatewayEvent("generic", f"evt_{order_id}", "hint", order_id, NOW)
        )


async def _many_called_back(engine: AsyncEngine, count: int) -> list[str]:
    """Orders with a callback each, by their ids."""
    orders = [f"order-{number:03}" for number in range(count)]
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO orders (order_id, amount, currency, capture, metadata, state)"
                " SELECT unnest(CAST(:orders AS text[])), 100, 'usd', 'automatic', '{}', 'open'"
            ),
            {"orders": orders},
        )
        await connection.execute(
            text(
                "INSERT INTO callbacks (gateway, event_id, type, order_id, event, created_at)"
                " SELECT 'generic', order_id, 'hint', order_id, '{}', now() FROM orders"
            )
        )
    return orders


async def test_an_order_that_fails_keeps_no_other_waiting(records: PostgresRecords) -> None:
    await _called_back(records, ["a", "b", "c"])
    told: list[str] = []

    async def deliver(order_id: str) -> int:
        if order_id == "a":
            raise KeyError("a defect")
        told.append(order_id)
        return 1

    page = await ActivityEnvironment().run(
        CallbackActivities(records, deliver).deliver_callbacks, ""
    )
    assert page == PageDone(2, None)
    assert told == ["b", "c"]


async def test_an_order_that_temporal_does_not_answer_for_keeps_no_other_waiting(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    orders = await _many_called_back(engine, 50)

    async def deliver(order_id: str) -> int:
        if int(order_id[-1]) < 5:  # half of them
            raise DeliveryUnavailableError("Temporal is out of reach: it is busy")
        return 1

    page = await ActivityEnvironment().run(
        CallbackActivities(records, deliver).deliver_callbacks, ""
    )
    assert page == PageDone(len(orders) // 2, None)


async def test_a_long_inbox_is_gone_through_page_by_page_a_few_orders_at_once(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    orders = await _many_called_back(engine, 120)
    told: list[str] = []
    at_once = most = 0

    async def deliver(order_id: str) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        told.append(order_id)
        return 1

    activity = CallbackActivities(records, deliver).deliver_callbacks
    first = await ActivityEnvironment().run(activity, "")
    assert first == PageDone(100, orders[99])
    assert await ActivityEnvironment().run(activity, orders[99]) == PageDone(20, None)
    assert told == orders
    assert 1 < most <= 8


async def test_the_pass_stops_where_temporal_is_out_of_reach(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    await _many_called_back(engine, 50)
    asked: list[str] = []

    async def deliver(order_id: str) -> int:
        asked.append(order_id)
        raise DeliveryUnavailableError("Temporal is out of reach")

    with pytest.raises(DeliveryUnavailableError):
        await ActivityEnvironment().run(CallbackActivities(records, deliver).deliver_callbacks, "")
    assert 8 <= len(asked) < 16


async def test_only_open_orders_without_an_attempt_are_stranded_and_only_after_a_while(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    await _opened_an_hour_ago(records, engine, ["old", "older", "tried", "canceled"])
    await records.open_order(Order("young", Money(100, "usd")))
    await records.append("tried", [Fact(Event.ATTEMPTED, NOW, Source.WORKFLOW, attempt=1)])
    await records.append("canceled", [Fact(Event.EXPIRED, NOW, Source.WORKFLOW)])
    started: list[str] = []

    async def start(order: Order) -> None:
        started.append(order.order_id)

    activity = StrandedActivities(records, start, timedelta(minutes=35)).start_stranded
    assert await ActivityEnvironment().run(activity, "") == PageDone(2, None)
    assert started == ["old", "older"]
    assert await ActivityEnvironment().run(activity, "old") == PageDone(1, None)


async def test_an_order_that_cannot_be_started_keeps_no_other_stranded(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    await _opened_an_hour_ago(records, engine, [f"order-{number}" for number in range(8)])
    started: list[str] = []

    async def start(order: Order) -> None:
        if int(order.order_id[-1]) % 2:
            raise RuntimeError("not this one")
        started.append(order.order_id)

    activity = StrandedActivities(records, start, timedelta(minutes=35)).start_stranded
    assert await ActivityEnvironment().run(activity, "") == PageDone(8, None)
    assert started == ["order-0", "order-2", "order-4", "order-6"]


async def test_an_outage_of_temporal_is_waited_out_before_the_next_stranded_orders(
    records: PostgresRecords, engine: AsyncEngine
) -> None:
    await _opened_an_hour_ago(records, engine, [f"order-{number}" for number in range(8)])
    asked: list[str] = []

    async def start(order: Order) -> None:
        asked.append(order.order_id)
        raise RuntimeError("nobody answers")

    activity = StrandedActivities(records, start, timedelta(minutes=35)).start_stranded
    with pytest.raises(RuntimeError):
        await ActivityEnvironment().run(activity, "")
    assert len(asked) == 3


async def _opened_an_hour_ago(
    records: PostgresRecords, engine: AsyncEngine, orders: list[str]
) -> None:
    for order_id in orders:
        await records.open_order(Order(order_id, Money(100, "usd")))
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE orders SET created_at = now() - interval '1 hour'"))
