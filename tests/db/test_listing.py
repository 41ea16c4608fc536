"""The list of payments: the newest first, each once, and only those that are wanted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.records import PostgresRecords
from app.domain.facts import Decline, Event, Fact, PaymentMethod, Source
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Order
from app.domain.payment import OrderState, State
from app.domain.records import Filter, Place, Summary
from tests.db.conftest import NOON

EVERYTHING = Filter()


def _hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


async def _opened_at(connection: AsyncConnection, order_id: str, at: datetime) -> None:
    """As if `order_id` had been placed then."""
    await connection.execute(
        text("UPDATE payments SET created_at = :at WHERE order_id = :order_id"),
        {"at": at, "order_id": order_id},
    )
    await connection.commit()


def _ids(page: list[Summary]) -> list[str]:
    return [summary.place.order_id for summary in page]


@pytest.fixture
async def shop(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> PostgresRecords:
    """Five payments, one an hour from noon on; order-1's is the first."""

    def attempt(kind: str, *, brand: str | None = None, last4: str | None = None) -> Fact:
        method = PaymentMethod(kind, brand, last4)
        return Fact(Event.ATTEMPTED, NOON, Source.WORKFLOW, attempt=1, method=method)

    captured = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
    disputed = Fact(Event.DISPUTED, NOON, Source.CALLBACK, amount=4000, reference="dp_1")
    refunded = Fact(Event.REFUNDED, NOON, Source.GATEWAY, amount=999, reference="re_1")
    no = Decline("lost_card", "The card was declined.", retryable=False)
    declined = Fact(Event.DECLINED, NOON, Source.GATEWAY, attempt=1, decline=no)
    histories = [
        [attempt("credit_card", brand="visa", last4="4242"), captured, refunded, disputed],
        [attempt("sepa_debit", last4="3000"), captured],
        [attempt("credit_card", brand="visa", last4="0002"), declined],
        [attempt("paypal"), captured],
        [],
    ]
    for number, history in enumerate(histories):
        customer_id = ["customer-1", "customer-2", "customer-1", None, None][number]
        placed = replace(order, order_id=f"order-{number + 1}", customer_id=customer_id)
        await records.open_order(placed)
        await records.append(placed.order_id, history)
        await _opened_at(connection, placed.order_id, _hour(number))
    return records


async def test_a_line_tells_what_the_payment_tells(shop: PostgresRecords) -> None:
    *_, line = await shop.list_payments(EVERYTHING, None, 10)
    payment = await shop.find_payment("order-1")
    assert payment is not None
    assert line == Summary(
        place=Place(NOON, "order-1"),
        payment_id=payment.payment_id,
        state=State.DISPUTED,
        order_state=OrderState.PAID,
        amount=Money(4999, "usd"),
        authorized=4999,
        captured=4999,
        refunded=999,
        disputed=4000,
        method=Method.CREDIT_CARD,
        method_shown="visa ending 4242",
        needs_attention=True,
    )
    assert line.place.created_at.utcoffset() == timedelta(0)


async def test_a_payment_without_an_attempt_is_listed_too(shop: PostgresRecords) -> None:
    line, *_ = await shop.list_payments(EVERYTHING, None, 10)
    assert (line.place.order_id, line.method, line.authorized) == ("order-5", None, 0)
    assert (line.state, line.order_state) == (State.INITIATED, OrderState.OPEN)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EVERYTHING, "54321"),
        (Filter(states=[State.CAPTURED]), "42"),
        (Filter(states=[State.DISPUTED, State.DECLINED]), "31"),
        (Filter(states=[State.VOIDED]), ""),
        (Filter(methods=[Method.SEPA_DEBIT]), "2"),
        (Filter(methods=[Method.CREDIT_CARD, Method.PAYPAL]), "431"),
        (Filter(methods=[Method.KLARNA]), ""),
        (Filter(since=_hour(2)), "543"),
        (Filter(until=_hour(2)), "21"),
        (Filter(since=_hour(1), until=_hour(3)), "32"),
        (Filter(since=_hour(2), until=_hour(2)), ""),
        (Filter(since=_hour(3).astimezone(), until=_hour(5).astimezone()), "54"),
        (Filter(needs_attention=True), "1"),
        (Filter(needs_attention=False), "5432"),
        (Filter(customer_id="customer-1"), "31"),
        (Filter(customer_id="customer-3"), ""),
        (Filter(states=[State.CAPTURED], methods=[Method.PAYPAL], since=_hour(1)), "4"),
        (Filter(states=[State.DISPUTED], customer_id="customer-2"), ""),
        (Filter(needs_attention=True, customer_id="customer-1", until=_hour(1)), "1"),
    ],
)
async def test_only_what_is_wanted_is_listed(
    shop: PostgresRecords, wanted: Filter, found: str
) -> None:
    expected = [f"order-{number}" for number in found]
    assert _ids(await shop.list_payments(wanted, None, 10)) == expected
    # The same in pages of one.
    paged: list[Summary] = []
    while page := await shop.list_payments(wanted, paged[-1].place if paged else None, 1):
        paged += page
    assert _ids(paged) == expected


async def test_a_payment_is_found_under_the_method_of_its_latest_attempt(
    shop: PostgresRecords,
) -> None:
    again = PaymentMethod("klarna")
    await shop.append(
        "order-3", [Fact(Event.ATTEMPTED, NOON, Source.WORKFLOW, attempt=2, method=again)]
    )
    assert _ids(await shop.list_payments(Filter(methods=[Method.KLARNA]), None, 10)) == ["order-3"]
    by_card = await shop.list_payments(Filter(methods=[Method.CREDIT_CARD]), None, 10)
    assert _ids(by_card) == ["order-1"]


async def test_a_place_is_there_although_its_payment_is_not(shop: PostgresRecords) -> None:
    nowhere = Place(_hour(2), "order-2-and-a-half")
    assert _ids(await shop.list_payments(EVERYTHING, nowhere, 10)) == ["order-2", "order-1"]


async def test_walking_the_list_shows_every_payment_once_while_the_shop_goes_on(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    start = datetime.now(UTC) - timedelta(days=1)
    placed = [f"order-{number:02}" for number in range(25)]
    for number, order_id in enumerate(placed):
        await records.open_order(replace(order, order_id=order_id))
        # Five at a time in the same microsecond: the order id decides between them.
        await _opened_at(connection, order_id, start + timedelta(microseconds=number // 5))

    async def sell(number: int) -> None:
        new = replace(order, order_id=f"new-{number:02}")
        await records.open_order(new)
        captured = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
        await records.append(placed[number], [captured])

    seen: list[str] = []
    after: Place | None = None
    for number in range(len(placed)):
        page, _ = await asyncio.gather(records.list_payments(EVERYTHING, after, 3), sell(number))
        if not page:
            break
        seen += _ids(page)
        after = page[-1].place
    old = [order_id for order_id in seen if order_id in placed]
    assert old == sorted(placed, reverse=True)
    assert len(seen) == len(set(seen))
    newest = await records.list_payments(EVERYTHING, None, 3)
    assert _ids(newest)[0].startswith("new-")
