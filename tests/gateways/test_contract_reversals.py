"""What the house relies on when money goes back: our refunds, and disputes that a bank begins."""

import asyncio
from datetime import UTC, datetime

import pytest

from app.domain.gateway import AuthorizeRequest, GatewayRefund, RefusedError
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.reversals import DisputeState, RefundState, refund_name
from tests.gateways.asking import HELD, PRICE, TAKEN, card, held, taken
from tests.gateways.subject import Subject
from tests.sandbox.program import until

FIRST, SECOND, SLOW, LOST = (
    refund_name("contract", key) for key in ("first", "second", "slow", "lost")
)


async def _refund(
    subject: Subject, order_id: str, transaction_id: str, minor: int, name: str, key: str = ""
) -> GatewayRefund:
    return await subject.gateway.refund(
        order_id, transaction_id, PRICE.of(minor), name, key=f"{order_id}:{key or name}"
    )


async def _state(subject: Subject, transaction_id: str, name: str) -> RefundState | None:
    found = await subject.gateway.look_up_refund(transaction_id, name)
    return found.state if found is not None else None


# Refunds


async def test_money_goes_back_once_for_each_name(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    first = await _refund(subject, order_id, transaction_id, 1999, FIRST)
    assert (first.transaction_id, first.name) == (transaction_id, FIRST)
    assert (first.amount, first.state) == (PRICE.of(1999), RefundState.SUCCEEDED)
    assert await _refund(subject, order_id, transaction_id, 1999, FIRST) == first
    second = await _refund(subject, order_id, transaction_id, 3000, SECOND)
    assert second.refund_id != first.refund_id
    charges = await subject.charges(order_id)
    assert (charges.refunds, charges.refunded) == (2, 4999)


async def test_a_refund_of_the_same_name_is_not_made_again_when_its_key_is_forgotten(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await taken(subject, order_id)
    made = await _refund(subject, order_id, transaction_id, 1999, FIRST, key="1")
    again = await _refund(subject, order_id, transaction_id, 1999, FIRST, key="2")
    assert again.refund_id == made.refund_id
    assert (await subject.charges(order_id)).refunded == 1999


async def test_a_refund_is_found_by_our_name_or_the_gateways(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await taken(subject, order_id)
    made = await _refund(subject, order_id, transaction_id, 1999, FIRST)
    assert await subject.gateway.look_up_refund(transaction_id, FIRST) == made
    assert await subject.gateway.look_up_refund(transaction_id, made.refund_id) == made
    assert await subject.gateway.look_up_refund(transaction_id, SECOND) is None


async def test_a_refund_is_found_behind_a_hundred_others(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    first = await _refund(subject, order_id, transaction_id, 1, FIRST)
    for batch in range(10):
        names = [refund_name("contract", f"{batch}-{n}") for n in range(10)]
        await asyncio.gather(
            *(_refund(subject, order_id, transaction_id, 1, name) for name in names)
        )
    found = await subject.gateway.look_up_refund(transaction_id, FIRST)
    assert found is not None
    assert found.refund_id == first.refund_id
    assert (await subject.charges(order_id)).refunds == 101


async def test_a_refund_may_take_days(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id, subject.slow_refund_card)
    made = await _refund(subject, order_id, transaction_id, 1999, SLOW)
    assert (made.state, made.failure) == (RefundState.PENDING, None)

    async def arrived() -> bool:
        return await _state(subject, transaction_id, SLOW) is RefundState.SUCCEEDED

    await until(arrived)


async def test_a_refund_that_does_not_arrive_says_why(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id, subject.lost_refund_card)
    await _refund(subject, order_id, transaction_id, 4999, LOST)

    async def failed() -> bool:
        return await _state(subject, transaction_id, LOST) is RefundState.FAILED

    await until(failed)
    found = await subject.gateway.look_up_refund(transaction_id, LOST)
    assert found is not None
    assert (found.amount, found.failure) == (PRICE, "expired_or_canceled_card")
    assert (await subject.charges(order_id)).refunded == 0


async def test_no_more_goes_back_than_was_taken(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    with pytest.raises(RefusedError):
        await _refund(subject, order_id, transaction_id, 5000, FIRST)
    assert await subject.charges(order_id) == TAKEN


async def test_a_part_that_the_gateway_cannot_express_is_refused(
    subject: Subject, order_id: str
) -> None:
    ariary = Money(500_000, "mga")
    token = (await subject.gateway.create_token(card(subject.good_card))).id
    asked = AuthorizeRequest(order_id, ariary, Method.CREDIT_CARD, token)
    transaction_id = (await subject.gateway.authorize(asked, key=order_id)).transaction_id
    with pytest.raises(RefusedError):
        await subject.gateway.capture(transaction_id, ariary.of(1), key=f"{order_id}:1")
    await subject.gateway.capture(transaction_id, ariary, key=f"{order_id}:2")
    with pytest.raises(RefusedError):
        await subject.gateway.refund(
            order_id, transaction_id, ariary.of(1), FIRST, key=f"{order_id}:3"
        )
    assert (await subject.charges(order_id)).refunds == 0


async def test_money_that_was_not_taken_cannot_go_back(subject: Subject, order_id: str) -> None:
    transaction_id = await held(subject, order_id)
    with pytest.raises(RefusedError):
        await _refund(subject, order_id, transaction_id, 4999, FIRST)
    assert await subject.charges(order_id) == HELD


# Disputes


@pytest.mark.parametrize(
    ("verdict", "state"), [("won", DisputeState.WON), ("lost", DisputeState.LOST)]
)
async def test_a_dispute_is_open_until_the_bank_decides(
    subject: Subject, order_id: str, verdict: str, state: DisputeState
) -> None:
    transaction_id = await taken(subject, order_id)
    dispute_id = await subject.dispute(transaction_id, 1999)
    seen = await subject.gateway.look_up_dispute(dispute_id)
    assert (seen.dispute_id, seen.transaction_id) == (dispute_id, transaction_id)
    assert (seen.state, seen.amount) == (DisputeState.OPEN, PRICE.of(1999))
    assert seen.reason == "product_not_received"
    assert seen.evidence_due_by is not None
    assert seen.evidence_due_by > datetime.now(UTC)
    assert [fee.amount for fee in seen.fees] == [PRICE.of(1500)]
    await subject.decide(dispute_id, verdict)
    decided = await subject.gateway.look_up_dispute(dispute_id)
    assert (decided.state, decided.amount) == (state, PRICE.of(1999))
    assert decided.fees == seen.fees


async def test_disputed_money_cannot_be_refunded_until_the_dispute_is_won(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await taken(subject, order_id)
    dispute_id = await subject.dispute(transaction_id, 4999)
    with pytest.raises(RefusedError) as refusal:
        await _refund(subject, order_id, transaction_id, 4999, FIRST, key="1")
    assert refusal.value.code == "charge_disputed"
    await subject.decide(dispute_id, "won")
    await _refund(subject, order_id, transaction_id, 4999, FIRST, key="2")
    assert (await subject.charges(order_id)).refunded == 4999


async def test_a_dispute_nobody_began_is_not_known(subject: Subject) -> None:
    with pytest.raises(RefusedError):
        await subject.gateway.look_up_dispute("dispute_of_nobody")
