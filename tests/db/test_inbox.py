"""The callback inbox: each callback once, handed out in the order the gateway made them."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util import await_only

from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, PaymentMethod, Source
from app.domain.gateway import (
    GatewayDispute,
    GatewayEvent,
    GatewayPayment,
    GatewayRefund,
    Status,
)
from app.domain.money import Money
from app.domain.order import Order
from app.domain.records import TakenCallback
from app.domain.reversals import DisputeState, RefundState
from tests.db.conftest import NOON

HELD = GatewayPayment(
    "pi_1",
    "order-1",
    Status.AUTHORIZED,
    Money(4999, "usd"),
    authorized=4999,
    method=PaymentMethod("credit_card", "visa", "4242"),
    capture_before=NOON + timedelta(days=7),
)
EVENTS = [
    GatewayEvent("stripe", f"evt_{n}", "payment", "order-1", NOON + timedelta(seconds=n), HELD)
    for n in range(5)
]
REFUND = GatewayRefund("re_1", "pi_1", Money(999, "usd"), RefundState.FAILED, "ref_1", "lost card")
DISPUTE = GatewayDispute(
    "dp_1", "pi_1", Money(4999, "usd"), DisputeState.OPEN, "fraudulent", NOON + timedelta(days=9)
)

NEW = TakenCallback("order-1", new=True)
KNOWN = TakenCallback("order-1", new=False)


@pytest.fixture
async def inbox(records: PostgresRecords, order: Order) -> PostgresRecords:
    await records.open_order(order)
    return records


async def to_deliver(inbox: PostgresRecords) -> list[GatewayEvent]:
    return await inbox.callbacks_to_deliver("order-1", 10)


async def test_a_callback_is_read_back_as_it_came(inbox: PostgresRecords) -> None:
    assert await inbox.take_callback(EVENTS[0]) == NEW
    hint = replace(EVENTS[1], gateway="generic", payment=None)
    refund = replace(EVENTS[2], payment=None, refund=REFUND)
    dispute = replace(EVENTS[3], payment=None, dispute=DISPUTE)
    for event in (hint, refund, dispute):
        assert await inbox.take_callback(event) == NEW
    assert await to_deliver(inbox) == [EVENTS[0], hint, refund, dispute]


async def test_a_callback_is_stored_once_for_each_gateway(inbox: PostgresRecords) -> None:
    assert await inbox.take_callback(EVENTS[0]) == NEW
    assert await inbox.take_callback(EVENTS[0]) == KNOWN
    assert await inbox.take_callback(replace(EVENTS[0], type="another", created_at=NOON)) == KNOWN
    assert await inbox.take_callback(replace(EVENTS[0], gateway="generic")) == NEW
    assert len(await to_deliver(inbox)) == 2


async def test_twenty_deliveries_at_once_are_stored_once(inbox: PostgresRecords) -> None:
    taken = await asyncio.gather(*(inbox.take_callback(EVENTS[0]) for _ in range(20)))
    assert sorted(taken, key=lambda one: one.new) == [*19 * [KNOWN], NEW]
    assert await to_deliver(inbox) == [EVENTS[0]]


async def test_a_repeated_callback_costs_one_statement(
    inbox: PostgresRecords, engine: AsyncEngine
) -> None:
    refund = replace(EVENTS[0], payment=None, refund=REFUND)
    for event in (EVENTS[1], refund):
        assert await inbox.take_callback(event) == NEW
        statements: list[str] = []

        def note(_: object, __: object, statement: str, *___: object) -> None:
            statements.append(statement)  # noqa: B023 - used within the round

        listen(engine.sync_engine, "before_cursor_execute", note)
        assert await inbox.take_callback(event) == KNOWN
        remove(engine.sync_engine, "before_cursor_execute", note)
        assert len(statements) == 1


async def test_a_callback_waits_for_no_writer_of_its_order(
    inbox: PostgresRecords, engine: AsyncEngine
) -> None:
    locked, go_on = asyncio.Event(), asyncio.Event()

    def hold(_: object, __: object, statement: str, *___: object) -> None:
        if " FOR " in statement:
            locked.set()
            await_only(go_on.wait())

    listen(engine.sync_engine, "after_cursor_execute", hold)
    expired = Fact(Event.EXPIRED, NOON, Source.WORKFLOW)
    writing = asyncio.create_task(inbox.append("order-1", [expired]))
    await locked.wait()
    assert await inbox.take_callback(EVENTS[0]) == NEW
    go_on.set()
    await writing
    remove(engine.sync_engine, "after_cursor_execute", hold)


async def test_callbacks_come_out_in_the_order_the_gateway_made_them(
    inbox: PostgresRecords,
) -> None:
    for event in random.Random(5).sample(EVENTS, len(EVENTS)):  # noqa: S311
        await inbox.take_callback(event)
    assert await to_deliver(inbox) == EVENTS
    assert await inbox.callbacks_to_deliver("order-1", 2) == EVENTS[:2]


async def test_what_was_delivered_waits_no_more(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    for event in EVENTS[:2]:
        await inbox.take_callback(event)
    await inbox.callback_delivered(EVENTS[0], "signalled")
    await inbox.callback_delivered(EVENTS[0], "a second thought")
    assert await to_deliver(inbox) == [EVENTS[1]]
    assert [told.event_id for told in await inbox.waiting_callbacks(10)] == ["evt_1"]
    outcomes = await connection.execute(text("SELECT event_id, outcome FROM callbacks ORDER BY id"))
    assert [tuple(row) for row in outcomes] == [("evt_0", "signalled"), ("evt_1", None)]
    assert await inbox.take_callback(EVENTS[0]) == KNOWN


async def test_orders_are_paged_through_as_long_as_something_waits_for_them(
    inbox: PostgresRecords,
) -> None:
    for name in ("b", "a", "c", "idle"):
        await inbox.open_order(Order(name, Money(100, "usd")))
    for number, name in enumerate(("c", "a", "b", "a")):
        event = replace(EVENTS[0], event_id=f"evt_of_{name}_{number}", order_id=name)
        assert await inbox.take_callback(event) == TakenCallback(name, new=True)
    assert await inbox.orders_called_back("", 2) == ["a", "b"]
    assert await inbox.orders_called_back("b", 2) == ["c"]
    for event in await inbox.callbacks_to_deliver("a", 10):
        await inbox.callback_delivered(event, "signaled")
    assert await inbox.orders_called_back("", 10) == ["b", "c"]


async def test_what_is_refused_is_set_aside_for_longer_and_longer_and_shown(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    for event in EVENTS[:2]:
        await inbox.take_callback(event)
    pauses = []
    for number in range(10):
        await inbox.callback_refused(EVENTS[1], f"refusal {number}")
        refused, other = await inbox.waiting_callbacks(10)
        assert (refused.event_id, refused.order_id) == ("evt_1", "order-1")
        assert (refused.failures, refused.last_error) == (number + 1, f"refusal {number}")
        assert (other.event_id, other.failures, other.next_try_at) == ("evt_0", 0, None)
        paused = await connection.execute(
            text("SELECT next_try_at - now() FROM callbacks WHERE event_id = 'evt_1'")
        )
        pauses.append(paused.scalar_one() / timedelta(seconds=30))
        await connection.rollback()
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]
    assert await to_deliver(inbox) == [EVENTS[0]]

    await inbox.callback_delivered(EVENTS[0], "signaled")
    assert await inbox.orders_called_back("", 10) == []
    await connection.execute(text("UPDATE callbacks SET next_try_at = now()"))
    await connection.commit()
    assert await inbox.orders_called_back("", 10) == ["order-1"]
    assert await to_deliver(inbox) == [EVENTS[1]]


async def test_a_callback_about_no_order_of_ours_is_kept_and_waits_for_nothing(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    for order_id in ("somebody-elses", "no order id: " + 64 * "x", None):
        event = replace(EVENTS[0], event_id=f"evt_of_{order_id}", order_id=order_id)
        for new in (True, False):
            assert await inbox.take_callback(event) == TakenCallback(None, new=False)
            assert await inbox.keep_foreign_callback(event) is new
    assert await inbox.waiting_callbacks(10) == []
    assert await inbox.orders_called_back("", 10) == []
    rows = await connection.execute(
        text("SELECT order_id, outcome, delivered_at IS NOT NULL FROM callbacks")
    )
    assert [tuple(row) for row in rows] == 3 * [(None, "foreign", True)]


@pytest.mark.parametrize("told", [{"refund": REFUND}, {"dispute": DISPUTE}])
async def test_what_is_begun_at_the_gateway_goes_to_the_order_that_its_payment_was_made_for(
    paid: PostgresRecords, told: dict[str, Any]
) -> None:
    await paid.open_order(Order("another", Money(100, "usd")))
    for named in (None, "another", "somebody-elses"):
        event = replace(EVENTS[0], event_id=f"evt_{named}", order_id=named, payment=None, **told)
        assert await paid.take_callback(event) == NEW
    assert [event.order_id for event in await to_deliver(paid)] == 3 * ["order-1"]
    for named, ours in ((None, None), ("somebody-elses", None), ("another", "another")):
        of_another = {
            kind: replace(what, transaction_id="pi_unknown") for kind, what in told.items()
        }
        event = replace(
            EVENTS[0], event_id=f"evt_x_{named}", order_id=named, payment=None, **of_another
        )
        assert (await paid.take_callback(event)).order_id == ours


async def test_the_latest_foreign_callbacks_come_first(inbox: PostgresRecords) -> None:
    before = datetime.now(UTC)
    ours, *foreign = EVENTS
    await inbox.take_callback(ours)
    for event in foreign:
        await inbox.keep_foreign_callback(event)
    kept = await inbox.foreign_callbacks(10)
    assert [callback.event for callback in kept] == foreign[::-1]
    times = [callback.received_at for callback in reversed(kept)]
    assert sorted(times) == times
    assert before <= times[0] < times[-1] <= datetime.now(UTC)
    assert await inbox.foreign_callbacks(2) == kept[:2]


async def test_nothing_of_no_order_may_wait(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    await inbox.keep_foreign_callback(EVENTS[0])
    with pytest.raises(DBAPIError, match="check constraint"):
        await connection.execute(text("UPDATE callbacks SET delivered_at = NULL"))
