"""The callback inbox: each callback once, handed out in the order the gateway made them."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.records import PostgresRecords
from app.domain.facts import PaymentMethod
from app.domain.gateway import (
    GatewayDispute,
    GatewayEvent,
    GatewayPayment,
    GatewayRefund,
    Status,
)
from app.domain.money import Money
from app.domain.order import Order
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


@pytest.fixture
async def inbox(records: PostgresRecords, order: Order) -> PostgresRecords:
    await records.open_order(order)
    return records


async def test_a_callback_is_read_back_as_it_came(inbox: PostgresRecords) -> None:
    hint = replace(EVENTS[1], gateway="generic", payment=None)
    assert await inbox.store_callback(EVENTS[0])
    refund = replace(EVENTS[2], payment=None, refund=REFUND)
    dispute = replace(EVENTS[3], payment=None, dispute=DISPUTE)
    for event in (hint, refund, dispute):
        assert await inbox.store_callback(event)
    assert await inbox.waiting_callbacks(10) == [EVENTS[0], hint, refund, dispute]


async def test_a_callback_is_stored_once_for_each_gateway(inbox: PostgresRecords) -> None:
    assert await inbox.store_callback(EVENTS[0])
    assert not await inbox.store_callback(EVENTS[0])
    assert not await inbox.store_callback(replace(EVENTS[0], type="another", created_at=NOON))
    assert await inbox.store_callback(replace(EVENTS[0], gateway="generic"))
    assert len(await inbox.waiting_callbacks(10)) == 2


async def test_twenty_deliveries_at_once_are_stored_once(inbox: PostgresRecords) -> None:
    stored = await asyncio.gather(*(inbox.store_callback(EVENTS[0]) for _ in range(20)))
    assert stored.count(True) == 1
    assert await inbox.waiting_callbacks(10) == [EVENTS[0]]


async def test_callbacks_come_out_in_the_order_the_gateway_made_them(
    inbox: PostgresRecords,
) -> None:
    for event in random.Random(5).sample(EVENTS, len(EVENTS)):  # noqa: S311
        await inbox.store_callback(event)
    assert await inbox.waiting_callbacks(10) == EVENTS
    assert await inbox.waiting_callbacks(2) == EVENTS[:2]


async def test_what_was_delivered_waits_no_more(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    for event in EVENTS[:2]:
        await inbox.store_callback(event)
    await inbox.callback_delivered(EVENTS[0], "signalled")
    await inbox.callback_delivered(EVENTS[0], "a second thought")
    assert await inbox.waiting_callbacks(10) == [EVENTS[1]]
    outcomes = await connection.execute(text("SELECT event_id, outcome FROM callbacks ORDER BY id"))
    assert [tuple(row) for row in outcomes] == [("evt_0", "signalled"), ("evt_1", None)]
    assert not await inbox.store_callback(EVENTS[0])


async def test_a_callback_about_no_order_of_ours_is_kept_and_waits_for_nothing(
    inbox: PostgresRecords, connection: AsyncConnection
) -> None:
    for order_id in ("somebody-elses", "no order id: " + 64 * "x", None):
        event = replace(EVENTS[0], event_id=f"evt_of_{order_id}", order_id=order_id)
        assert await inbox.store_callback(event, foreign=True)
        assert not await inbox.store_callback(event, foreign=True)
    assert await inbox.waiting_callbacks(10) == []
    rows = await connection.execute(
        text("SELECT order_id, outcome, delivered_at IS NOT NULL FROM callbacks")
    )
    assert [tuple(row) for row in rows] == 3 * [(None, "foreign", True)]


async def test_the_latest_foreign_callbacks_come_first(inbox: PostgresRecords) -> None:
    before = datetime.now(UTC)
    ours, *foreign = EVENTS
    await inbox.store_callback(ours)
    for event in foreign:
        await inbox.store_callback(event, foreign=True)
    kept = await inbox.foreign_callbacks(10)
    assert [callback.event for callback in kept] == foreign[::-1]
    times = [callback.received_at for callback in reversed(kept)]
    assert sorted(times) == times
    assert before <= times[0] < times[-1] <= datetime.now(UTC)
    assert await inbox.foreign_callbacks(2) == kept[:2]


async def test_nothing_of_no_order_may_wait(inbox: PostgresRecords) -> None:
    with pytest.raises(DBAPIError, match="check constraint"):
        await inbox.store_callback(replace(EVENTS[0], order_id=None))
