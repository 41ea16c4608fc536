"""Whatever happened, however often and in whatever order we learnt it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Event, Fact
from app.domain.payment import (
    AFTER_CAPTURE,
    BEFORE_MONEY,
    TRANSITIONS,
    Attempt,
    Payment,
    State,
    apply,
    fold,
)
from app.domain.reversals import Dispute, DisputeState, Refund, RefundState
from tests.domain.histories import DISPUTE_EVENTS, REFUND_EVENTS, facts, histories, payment
from tests.domain.stages import GIVES_MONEY_BACK_TO_US, STAGE


def _steps(history: list[Fact]) -> list[tuple[Payment, Fact, Payment]]:
    """The payment before each fact, the fact, and the payment after it."""
    told = [payment()]
    for fact in history:
        told.append(apply(told[-1], fact))
    return [
        (before, fact, after) for (before, after), fact in zip(pairwise(told), history, strict=True)
    ]


@given(histories, st.data())
def test_order_and_repetition_do_not_matter(history: list[Fact], data: st.DataObject) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history))) if history else []
    shuffled = data.draw(st.permutations(history + repeated))
    one, other = fold(payment(), history), fold(payment(), shuffled)
    assert one == other
    assert one.attention == other.attention


@given(histories)
def test_old_news_changes_nothing(history: list[Fact]) -> None:
    told = fold(payment(), history)
    for fact in history:
        assert apply(told, fact) == told


@given(histories, facts((*REFUND_EVENTS, *DISPUTE_EVENTS)))
def test_what_was_overtaken_says_nothing_of_the_money(history: list[Fact], late: Fact) -> None:
    before = fold(payment(), history)
    after = apply(before, late)
    for name, refund in before.refunds.items():
        if refund.state is not RefundState.PENDING and late.event is Event.REFUND_PENDING:
            assert after.refunds[name].amount == refund.amount
    for name, dispute in before.disputes.items():
        if dispute.state is not DisputeState.OPEN and late.event is Event.DISPUTED:
            assert after.disputes[name].amount == dispute.amount


@given(histories)
def test_never_more_went_back_than_was_taken_nor_was_more_taken_than_held(
    history: list[Fact],
) -> None:
    for _before, _fact, after in _steps(history):
        gone = after.refunded + after.refunds_pending + after.disputed
        assert after.authorized >= after.captured >= gone >= 0
        assert min(after.refunded, after.refunds_pending, after.disputed) >= 0
        assert after.left == after.captured - gone
        assert after.refundable in (0, after.left)


@given(histories)
def test_what_the_gateway_told_of_holding_and_taking_never_shrinks(history: list[Fact]) -> None:
    for before, fact, after in _steps(history):
        assert after.seen_authorized >= before.seen_authorized
        assert after.seen_captured >= before.seen_captured
        if fact.event is Event.AUTHORIZED:
            assert after.authorized >= (fact.amount or 0)
        if fact.event is Event.CAPTURED:
            assert after.captured >= (fact.amount or 0)


@given(histories)
def test_the_payment_goes_only_where_the_table_leads(history: list[Fact]) -> None:
    for before, fact, after in _steps(history):
        named = TRANSITIONS[before.state, fact.event].to
        if after.attempt is not None and named[0] in BEFORE_MONEY:
            assert after.state is after.attempt.state  # the latest attempt speaks
        else:
            assert after.state in named, (before.state, fact.event)


@given(histories)
def test_an_attempt_goes_only_where_the_table_leads(history: list[Fact]) -> None:
    for before, fact, after in _steps(history):
        for number, attempt in after.attempts.items():
            known = before.attempts.get(number, Attempt(number))
            if number != fact.attempt:
                assert attempt == known
            elif attempt.state is not known.state:
                [named] = TRANSITIONS[known.state, fact.event].to
                assert attempt.state is (State.CAPTURED if named in AFTER_CAPTURE else named)


@given(histories)
def test_the_payment_goes_back_only_where_money_came_back_to_us(history: list[Fact]) -> None:
    for before, fact, after in _steps(history):
        another_attempt = {before.state, after.state} <= {*BEFORE_MONEY} and (
            max(after.attempts, default=0) > max(before.attempts, default=0)
        )
        if not another_attempt and fact.event not in GIVES_MONEY_BACK_TO_US:
            assert STAGE[after.state] >= STAGE[before.state], (before.state, fact.event)


@given(histories)
def test_nothing_is_forgotten(history: list[Fact]) -> None:
    for before, _fact, after in _steps(history):
        assert after.flags >= before.flags
        assert after.transaction_ids >= before.transaction_ids
        assert after.fees.keys() >= before.fees.keys()
        assert after.acknowledged >= before.acknowledged
        assert after.steps_done.keys() >= before.steps_done.keys()
        assert after.steps_undone >= before.steps_undone
        assert after.confirmed >= before.confirmed
        assert after.capture_due >= before.capture_due
        assert (after.capture_before is None) <= (before.capture_before is None)
        for number, attempt in before.attempts.items():
            assert _told(after.attempts[number]) >= _told(attempt)
        for name, refund in before.refunds.items():
            assert _told(after.refunds[name]) >= _told(refund)
        for dispute_id, dispute in before.disputes.items():
            assert _told(after.disputes[dispute_id]) >= _told(dispute)


def _told(thing: Attempt | Refund | Dispute) -> set[str]:
    """What is known of it."""
    return {name for name, value in vars(thing).items() if value is not None}


@given(histories)
def test_the_state_agrees_with_the_totals(history: list[Fact]) -> None:
    told = fold(payment(), history)
    states = {dispute.state for dispute in told.disputes.values()}
    if told.state in BEFORE_MONEY or told.state is State.EXPIRED:
        assert told.authorized == 0
    if told.state not in AFTER_CAPTURE:
        assert told.captured == 0
    if told.state is State.CAPTURED:
        assert told.refunded == 0
        # A bank's inquiry proves that money was taken, and does not say how much.
        assert told.captured > 0 or told.disputes
    if told.state is State.PARTIALLY_REFUNDED:
        assert told.captured > told.refunded > 0
    if told.state is State.REFUNDED:
        assert told.captured == told.refunded > 0
    assert (told.state is State.DISPUTED) == (DisputeState.OPEN in states)
    if told.state is State.CHARGED_BACK:
        assert DisputeState.LOST in states
    elif told.state is not State.DISPUTED:
        assert told.disputed == 0
