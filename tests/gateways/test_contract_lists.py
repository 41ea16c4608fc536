"""What a comparison of books relies on: a gateway lists all there is of a period, page by page."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from app.domain.gateway import (
    Gateway,
    MovementKind,
    Page,
    Period,
    UnavailableError,
    UnreadableError,
)
from app.domain.reversals import refund_name
from app.gateways.stripe import StripeGateway
from tests.gateways.asking import PRICE, taken
from tests.gateways.subject import Subject
from tests.sandbox.program import KEY, SECRET, Sandbox, payment

_Listed = TypeVar("_Listed")
NAME = refund_name("contract", "list")


def today() -> Period:
    now = datetime.now(UTC)
    return Period(now - timedelta(hours=1), now + timedelta(hours=1))


async def everything(
    list_page: Callable[[Period, str | None], Awaitable[Page[_Listed]]], period: Period
) -> list[_Listed]:
    """All pages of a list."""
    found, after = [], None
    while True:
        page = await list_page(period, after)
        assert page.unreadable == []
        found += page.items
        after = page.after
        if after is None:
            return found


async def test_a_payment_is_listed_as_a_look_up_shows_it(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    listed = await everything(subject.gateway.list_payments, today())
    [found] = [seen for seen in listed if seen.order_id == order_id]
    assert found == await subject.gateway.look_up(order_id, transaction_id, today().since)


async def test_a_refund_is_listed_as_a_look_up_shows_it(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    await subject.gateway.refund(order_id, transaction_id, PRICE.of(999), NAME, key=order_id)
    listed = await everything(subject.gateway.list_refunds, today())
    [found] = [seen for seen in listed if seen.transaction_id == transaction_id]
    again = await subject.gateway.look_up_refund(transaction_id, NAME)
    assert again is not None
    assert (found.refund_id, found.amount, found.name) == (again.refund_id, PRICE.of(999), NAME)


async def test_a_dispute_is_listed_as_a_look_up_shows_it(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    dispute_id = await subject.dispute(transaction_id, 2000)
    listed = await everything(subject.gateway.list_disputes, today())
    [found] = [seen for seen in listed if seen.dispute_id == dispute_id]
    assert found == await subject.gateway.look_up_dispute(dispute_id)


async def test_movements_tell_whose_payment_moved_our_balance(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await taken(subject, order_id)
    await subject.gateway.refund(order_id, transaction_id, PRICE.of(999), NAME, key=order_id)
    await subject.dispute(transaction_id, 2000)
    listed = await everything(subject.gateway.list_movements, today())
    seen = {m.kind: m for m in listed if m.transaction_id == transaction_id}
    assert {kind: movement.amount for kind, movement in seen.items()} == {
        MovementKind.CHARGE: 4999,
        MovementKind.REFUND: -999,
        MovementKind.DISPUTE: -2000,
    }
    paid = await subject.gateway.look_up(order_id, transaction_id, today().since)
    assert paid is not None
    assert paid.fee is not None
    charge = seen[MovementKind.CHARGE]
    assert (charge.movement_id, charge.fee) == (paid.fee.reference, paid.fee.amount.minor)


async def test_a_payout_is_of_no_payment(subject: Subject, order_id: str) -> None:
    await taken(subject, order_id)
    await subject.sandbox.control("payouts", amount=100, currency="usd")
    listed = await everything(subject.gateway.list_movements, today())
    payout = next(movement for movement in listed if movement.kind is MovementKind.PAYOUT)
    assert (payout.amount, payout.currency, payout.transaction_id) == (-100, "usd", None)


async def test_events_are_listed_as_a_callback_tells_them(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    listed = await everything(subject.gateway.list_events, today())
    told = [event for event in listed if event.transaction_id == transaction_id]
    assert [event.type for event in told][::-1] == [
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
    ]
    assert {event.order_id for event in told} == {order_id}
    assert told[0].payment is not None
    assert told[0].payment.captured == 4999


async def test_what_names_no_order_is_not_listed(subject: Subject, order_id: str) -> None:
    asked = payment(order_id, capture_method="automatic") | {"metadata": {}}
    made = await subject.sandbox.stripe.payment_intents.create_async(asked)
    refund: Any = {"payment_intent": made.id}
    await subject.sandbox.stripe.refunds.create_async(refund)
    listed = await everything(subject.gateway.list_payments, today())
    assert made.id not in [seen.transaction_id for seen in listed]
    refunds = await everything(subject.gateway.list_refunds, today())
    assert made.id not in [seen.transaction_id for seen in refunds]


async def test_a_period_has_a_beginning_and_an_end(subject: Subject, order_id: str) -> None:
    await taken(subject, order_id)
    now = datetime.now(UTC)
    yesterday = Period(now - timedelta(days=1), now - timedelta(hours=1))
    tomorrow = Period(now + timedelta(hours=1), now + timedelta(days=1))
    for period in (yesterday, tomorrow):
        assert await everything(subject.gateway.list_payments, period) == []
        assert await everything(subject.gateway.list_movements, period) == []
        assert await everything(subject.gateway.list_events, period) == []


async def test_a_list_goes_on_behind_its_first_page(subject: Subject, order_id: str) -> None:
    orders = [f"{order_id}-{number}" for number in range(101)]
    for each in orders:
        asked: Any = {"amount": 100, "currency": "usd", "metadata": {"order_id": each}}
        await subject.sandbox.stripe.payment_intents.create_async(asked)
    first = await subject.gateway.list_payments(today(), None)
    assert first.after is not None
    listed = await everything(subject.gateway.list_payments, today())
    found = [seen.order_id for seen in listed if seen.order_id in orders]
    assert sorted(found) == sorted(orders)


async def test_a_gateway_out_of_reach_lists_nothing(subject: Subject) -> None:
    with pytest.raises(UnavailableError):
        await subject.unreachable.list_payments(today(), None)


@pytest.fixture
async def own_gateway(own_sandbox: Sandbox) -> AsyncIterator[Gateway]:
    gateway = StripeGateway(
        api_key=KEY, api_base=own_sandbox.url, webhook_secrets=[SECRET], timeout_seconds=20
    )
    yield gateway
    await gateway.close()


async def test_what_makes_no_sense_is_named_and_hides_nothing_else(
    own_sandbox: Sandbox, own_gateway: Gateway
) -> None:
    good, odd = [
        await own_sandbox.stripe.payment_intents.create_async(payment(name))
        for name in ("good", "odd")
    ]
    with sqlite3.connect(own_sandbox.database) as objects:
        change = "UPDATE objects SET body = json_set(body, '$.status', 'strange') WHERE id = ?"
        objects.execute(change, (odd.id,))
    page = await own_gateway.list_payments(today(), None)
    assert [seen.transaction_id for seen in page.items] == [good.id]
    assert page.unreadable == [odd.id]
    with pytest.raises(UnreadableError):
        await own_gateway.look_up("odd", odd.id, today().since)
