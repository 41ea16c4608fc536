"""A refund is noted before the gateway is asked, and never more than there is."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import NoResultFound

from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.order import Order
from app.domain.records import RefundRefusedError
from tests.db.conftest import NOON


async def _refundable(records: PostgresRecords) -> int:
    payment = await records.find_payment("order-1")
    assert payment is not None
    return payment.refundable


async def test_a_refund_asked_for_counts_as_gone(paid: PostgresRecords) -> None:
    before = datetime.now(UTC)
    fact = await paid.open_refund("order-1", "ref_1", 999, "torn")
    assert before <= fact.at <= datetime.now(UTC)
    assert fact == Fact(
        Event.REFUND_PENDING, fact.at, Source.API, amount=999, refund="ref_1", reason="torn"
    )
    assert (await paid.facts("order-1"))[-1] == fact
    assert await _refundable(paid) == 4000


async def test_asked_again_it_is_the_first_refund_whatever_the_amount(
    paid: PostgresRecords,
) -> None:
    first = await paid.open_refund("order-1", "ref_1", 999, "torn")
    for amount in (999, 1, 4999, 10**9):
        assert await paid.open_refund("order-1", "ref_1", amount, "another reason") == first
    succeeded = Fact(
        Event.REFUNDED, NOON, Source.CALLBACK, amount=999, reference="re_1", refund="ref_1"
    )
    await paid.append("order-1", [succeeded])
    assert await paid.open_refund("order-1", "ref_1", 999, "torn") == first
    assert await _refundable(paid) == 4000


async def test_all_that_was_taken_can_be_given_back_and_no_cent_more(
    paid: PostgresRecords,
) -> None:
    with pytest.raises(RefundRefusedError) as refusal:
        await paid.open_refund("order-1", "ref_1", 5000, None)
    assert refusal.value.refundable == 4999
    await paid.open_refund("order-1", "ref_2", 4998, None)
    with pytest.raises(RefundRefusedError) as refusal:
        await paid.open_refund("order-1", "ref_3", 2, None)
    assert refusal.value.refundable == 1
    await paid.open_refund("order-1", "ref_4", 1, None)
    assert await _refundable(paid) == 0
    names = [fact.refund for fact in await paid.facts("order-1") if fact.refund]
    assert names == ["ref_2", "ref_4"]


async def test_money_that_a_bank_has_taken_cannot_be_given_back_too(
    paid: PostgresRecords,
) -> None:
    disputed = Fact(Event.DISPUTED, NOON, Source.CALLBACK, amount=4000, reference="dp_1")
    await paid.append("order-1", [disputed])
    with pytest.raises(RefundRefusedError) as refusal:
        await paid.open_refund("order-1", "ref_1", 1000, None)
    assert refusal.value.refundable == 0
    won = replace(disputed, event=Event.DISPUTE_WON)
    await paid.append("order-1", [won])
    await paid.open_refund("order-1", "ref_1", 4999, None)


async def test_a_refund_that_failed_can_be_made_under_another_name(paid: PostgresRecords) -> None:
    wanted = await paid.open_refund("order-1", "ref_1", 4999, None)
    await paid.append("order-1", [replace(wanted, event=Event.REFUND_FAILED, reference="re_1")])
    await paid.open_refund("order-1", "ref_2", 4999, None)
    with pytest.raises(RefundRefusedError):
        await paid.open_refund("order-1", "ref_3", 1, None)


@pytest.mark.parametrize("amount", [-1, 0, 1, 4999])
async def test_held_money_is_not_refunded(
    records: PostgresRecords, order: Order, amount: int
) -> None:
    await records.open_order(order)
    held = Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, attempt=1, amount=4999, reference="pi_1")
    payment = await records.append("order-1", [held])
    with pytest.raises(RefundRefusedError) as refusal:
        await records.open_refund("order-1", "ref_1", amount, None)
    assert refusal.value.refundable == 0
    assert await records.find_payment("order-1") == payment


@pytest.mark.parametrize("amount", [-1, 0])
async def test_less_than_a_cent_is_no_refund(paid: PostgresRecords, amount: int) -> None:
    with pytest.raises(RefundRefusedError):
        await paid.open_refund("order-1", "ref_1", amount, None)
    assert len(await paid.facts("order-1")) == 2


async def test_an_order_nobody_placed_has_no_refund(records: PostgresRecords) -> None:
    with pytest.raises(NoResultFound):
        await records.open_refund("nobody", "ref_1", 1, None)


async def test_of_twenty_refunds_at_once_only_what_was_taken_is_noted(
    paid: PostgresRecords,
) -> None:
    told = await asyncio.gather(
        *(paid.open_refund("order-1", f"ref_{n}", 400, None) for n in range(20)),
        return_exceptions=True,
    )
    noted = [answer for answer in told if isinstance(answer, Fact)]
    refused = [answer for answer in told if isinstance(answer, RefundRefusedError)]
    assert (len(noted), len(refused)) == (12, 8)  # 12 x 4.00 of 49.99
    assert {refusal.refundable for refusal in refused} == {199}
    payment = await paid.find_payment("order-1")
    assert payment is not None
    assert (payment.refunds_pending, payment.refundable) == (4800, 199)
    assert {name: refund.amount for name, refund in payment.refunds.items()} == {
        fact.refund: 400 for fact in noted
    }
    assert not payment.attention


async def test_one_refund_asked_for_twenty_times_at_once_is_one(paid: PostgresRecords) -> None:
    told = await asyncio.gather(
        *(paid.open_refund("order-1", "ref_1", 3000 + n, f"reason {n}") for n in range(20))
    )
    assert told == 20 * told[:1]
    assert [fact for fact in await paid.facts("order-1") if fact.refund] == told[:1]
