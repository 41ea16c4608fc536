"""Orders, facts and their projection: each once, whoever writes at the same time."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.records import PostgresRecords
from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod, Source
from app.domain.money import Money
from app.domain.order import Mandate, Order
from app.domain.payment import NAMES_TRANSACTION, OrderState, Payment, State, fold

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
VISA = PaymentMethod("credit_card", "visa", "4242", "fingerprint")

# The life of an order of 49.99 USD: declined, challenged, paid, fulfilled, partly given back, and
# disputed for a while.
HISTORY = [
    Fact(Event.ATTEMPTED, NOON, Source.WORKFLOW, attempt=1, method=VISA, idempotency_key="mine"),
    Fact(
        Event.DECLINED,
        NOON,
        Source.GATEWAY,
        attempt=1,
        reference="pi_1",
        decline=Decline("lost_card", "The card was declined.", retryable=False),
    ),
    Fact(Event.ATTEMPTED, NOON, Source.WORKFLOW, attempt=2),
    Fact(
        Event.ACTION_REQUIRED,
        NOON,
        Source.GATEWAY,
        attempt=2,
        reference="pi_1",
        next_action=NextAction("redirect", "https://bank.example/"),
    ),
    Fact(
        Event.AUTHORIZED,
        NOON,
        Source.CALLBACK,
        attempt=2,
        amount=4999,
        reference="pi_1",
        method=VISA,
        capture_before=NOON + timedelta(days=7),
    ),
    Fact(Event.CONFIRMED, NOON, Source.CALLBACK),
    Fact(Event.STEP_DONE, NOON, Source.FULFILMENT, step="reserve_stock", reference="1 x mug"),
    Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1"),
    Fact(Event.FULFILLED, NOON, Source.WORKFLOW),
    Fact(Event.REFUNDED, NOON, Source.GATEWAY, amount=999, reference="re_1"),
    Fact(Event.REFUND_PENDING, NOON, Source.API, amount=500, refund="ref_2", reason="torn"),
    Fact(Event.REFUND_PENDING, NOON, Source.GATEWAY, amount=500, reference="re_2", refund="ref_2"),
    Fact(
        Event.DISPUTED,
        NOON,
        Source.CALLBACK,
        amount=3000,
        reference="dp_1",
        reason="fraudulent",
        evidence_due_by=NOON + timedelta(days=9),
    ),
    Fact(Event.DISPUTE_WON, NOON, Source.CALLBACK, amount=3000, reference="dp_1"),
    Fact(
        Event.REFUND_FAILED,
        NOON,
        Source.LOOK_UP,
        amount=500,
        reference="re_2",
        refund="ref_2",
        reason="expired_or_canceled_card",
    ),
    Fact(Event.FLAGGED, NOON, Source.WORKFLOW, reason="a test"),
]


async def _count(connection: AsyncConnection, table: str) -> int:
    count = await connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
    assert isinstance(count, int)
    return count


async def test_an_order_is_kept_as_it_was_placed(records: PostgresRecords, order: Order) -> None:
    order = replace(order, mandate=Mandate("192.0.2.7", "a browser"))
    opened, payment = await records.open_order(order)
    assert opened == await records.find_order("order-1") == order
    assert payment == await records.find_payment("order-1") == Payment("order-1", order.amount)
    [first] = await records.facts("order-1")
    assert (first.event, first.amount) == (Event.INITIATED, 4999)


async def test_opening_an_order_again_gives_the_first_one(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    await records.append("order-1", HISTORY[:2])
    other = replace(
        order, amount=Money(1, "eur"), customer_email=None, customer_id="another", metadata={}
    )
    known, payment = await records.open_order(other)
    assert known == order
    assert payment.state is State.DECLINED


async def test_an_order_nobody_placed_is_not_there(records: PostgresRecords) -> None:
    assert await records.find_order("nobody") is None
    assert await records.find_payment("nobody") is None
    assert await records.facts("nobody") == []
    with pytest.raises(NoResultFound):
        await records.append("nobody", HISTORY)


async def test_the_latest_mandate_is_kept_with_the_order(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await records.open_order(order)
    assert await _count(connection, "orders WHERE sealed_mandate IS NULL") == 1
    for mandate in (Mandate("192.0.2.7", "a browser"), Mandate("2001:db8::7", "another")):
        await records.accept_mandate("order-1", mandate)
        assert await records.find_order("order-1") == replace(order, mandate=mandate)
    with pytest.raises(NoResultFound):
        await records.accept_mandate("nobody", Mandate("192.0.2.7", "a browser"))


async def test_twenty_at_once_open_one_order(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await connection.rollback()
    amounts = [Money(100 + n, "usd") for n in range(20)]
    opened = await asyncio.gather(
        *(records.open_order(replace(order, amount=amount)) for amount in amounts)
    )
    assert len({known.amount for known, _ in opened}) == 1
    assert len({payment.amount for _, payment in opened}) == 1
    for table in ("orders", "payments", "payment_events"):
        assert await _count(connection, table) == 1


async def test_what_happened_is_read_back_as_it_was_told(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    payment = await records.append("order-1", HISTORY)
    initiated, *told = await records.facts("order-1")
    assert told == HISTORY
    expected = fold(Payment("order-1", order.amount), [initiated, *HISTORY])
    assert payment == await records.find_payment("order-1") == expected


async def test_one_fact_at_a_time_or_all_at_once_is_the_same(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    one_by_one = [await records.append("order-1", [fact]) for fact in HISTORY]
    await records.open_order(replace(order, order_id="order-2"))
    at_once = await records.append("order-2", HISTORY)
    assert replace(one_by_one[-1], order_id="order-2") == at_once


async def test_repeated_news_is_kept_once_as_first_told(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    payment = await records.append("order-1", HISTORY)
    later = [replace(fact, at=NOON + timedelta(hours=1)) for fact in HISTORY]
    assert await records.append("order-1", later) == payment
    assert await records.append("order-1", [*later, *later]) == payment
    assert (await records.facts("order-1"))[1:] == HISTORY
    assert await records.append("order-1", []) == payment


async def test_twenty_writers_of_the_same_news_leave_one_of_each(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await connection.rollback()
    await records.open_order(order)
    dice = random.Random(20)  # noqa: S311
    orders = [dice.sample(HISTORY, len(HISTORY)) for _ in range(20)]
    await asyncio.gather(*(records.append("order-1", facts) for facts in orders))
    facts = await records.facts("order-1")
    assert len(facts) == len({fact.key for fact in facts}) == 1 + len(HISTORY)
    payment = await records.find_payment("order-1")
    assert payment == fold(Payment("order-1", order.amount), HISTORY)
    assert payment is not None
    assert await _projected(connection) == _projection(payment)


def _projection(payment: Payment) -> dict[str, object]:
    method = payment.attempt.method if payment.attempt else None
    return {
        "payment_id": payment.payment_id,
        "gateway": "stripe",
        "state": payment.state.value,
        "currency": payment.amount.currency,
        "amount": payment.amount.minor,
        "authorized": payment.authorized,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "refunds_pending": payment.refunds_pending,
        "disputed": payment.disputed,
        "transaction_id": payment.transaction_id,
        "method": str(method) if method else None,
        "method_type": method.type if method else None,
        "needs_attention": bool(payment.attention),
        "order_state": payment.order_state.value,
    }


async def _projected(connection: AsyncConnection) -> dict[str, object]:
    row = await connection.execute(
        text("SELECT p.*, o.state AS order_state FROM payments p JOIN orders o USING (order_id)")
    )
    columns = dict(row.mappings().one())
    for other in ("order_id", "created_at", "updated_at"):
        del columns[other]
    return columns


async def test_the_payments_row_follows_every_fact(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    _, payment = await records.open_order(order)
    for fact in HISTORY:
        assert await _projected(connection) == _projection(payment)
        await connection.rollback()
        payment = await records.append("order-1", [fact])
    assert await _projected(connection) == _projection(payment)
    assert (payment.state, payment.order_state) == (
        State.PARTIALLY_REFUNDED,
        OrderState.FULFILLED,
    )


@pytest.mark.parametrize("event", sorted(NAMES_TRANSACTION))
async def test_any_news_of_a_gateway_payment_tells_whose_it_is(
    records: PostgresRecords, order: Order, event: Event
) -> None:
    await records.open_order(order)
    await records.open_order(replace(order, order_id="order-2"))
    news = Fact(event, NOON, Source.CALLBACK, attempt=1, amount=4999, reference="pi_1")
    await records.append("order-2", [news])
    assert await records.find_order_paid_by("pi_1") == "order-2"
    assert await records.find_order_paid_by("pi_2") is None


async def test_what_is_not_a_gateway_payment_pays_for_no_order(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    await records.append("order-1", HISTORY)
    assert await records.find_order_paid_by("pi_1") == "order-1"
    for other in ("re_1", "re_2", "dp_1", "1 x mug"):
        assert await records.find_order_paid_by(other) is None


async def test_facts_and_projection_are_written_both_or_neither(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await records.open_order(order)
    too_much = Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, attempt=1, amount=2**63)
    with pytest.raises(DBAPIError):
        await records.append("order-1", [too_much])
    assert len(await records.facts("order-1")) == 1
    assert (await _projected(connection))["authorized"] == 0


async def test_the_largest_amount_there_is_can_be_kept(
    records: PostgresRecords, order: Order
) -> None:
    most = Money(10**18 - 1, "bhd")
    await records.open_order(replace(order, amount=most))
    found = await records.find_order("order-1")
    assert found is not None
    assert found.amount == most


async def test_an_error_text_holds_nothing_of_the_order(
    records: PostgresRecords, order: Order
) -> None:
    with pytest.raises(DBAPIError) as failure:
        await records.open_order(replace(order, order_id="x" * 65))
    assert "shopper@example.com" not in repr(failure.value) + str(failure.value)
    assert "mug" not in repr(failure.value) + str(failure.value)
