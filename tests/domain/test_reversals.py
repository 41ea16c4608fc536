"""What becomes of money that was taken, when it goes back."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from app.domain.facts import Event, Fact
from app.domain.payment import OrderState, Payment, State, apply, fold
from app.domain.reversals import DisputeState, RefundState, refund_name
from tests.domain.histories import AMOUNT, NOON, fact, payment

OURS = refund_name("order-1", "key-1")


def _paid(*facts: Fact, captured: int = AMOUNT) -> Payment:
    taken = [fact(Event.AUTHORIZED, 1, AMOUNT, "pi_1"), fact(Event.CAPTURED, 0, captured, "pi_1")]
    return fold(payment(), [*taken, *facts])


def _totals(told: Payment) -> tuple[State, int, int, int, int]:
    """The state, and what was refunded, is on its way, is disputed, is still ours."""
    return told.state, told.refunded, told.refunds_pending, told.disputed, told.left


def _refund(event: Event, amount: int, name: str = OURS, reason: str | None = None) -> Fact:
    return fact(event, 0, amount, "re_1" if name == OURS else name, reason, refund=name)


def _dispute(event: Event, amount: int = AMOUNT, dispute_id: str = "dp_1") -> Fact:
    return fact(event, 0, amount, dispute_id, "fraudulent")


def test_a_refund_has_one_name_however_often_it_is_asked_for() -> None:
    assert refund_name("order-1", "key-1") == OURS
    assert len({OURS, refund_name("order-1", "key-2"), refund_name("order-2", "key-1")}) == 3
    assert OURS.startswith("ref_")


def test_a_refund_on_its_way_is_money_that_cannot_be_given_back_again() -> None:
    asked = _paid(fact(Event.REFUND_PENDING, 0, 400, refund=OURS))
    assert _totals(asked) == (State.CAPTURED, 0, 400, 0, 600)
    assert asked.attention == frozenset()
    assert _totals(apply(asked, _refund(Event.REFUNDED, 400))) == (
        *(State.PARTIALLY_REFUNDED, 400, 0, 0, 600),
    )


def test_a_refund_is_one_refund_from_our_wish_to_the_gateways_word() -> None:
    asked = fact(Event.REFUND_PENDING, 0, 400, reason="damaged", refund=OURS)
    later = replace(_refund(Event.REFUNDED, 400), at=NOON + timedelta(days=1))
    for order in permutations([asked, _refund(Event.REFUND_PENDING, 400), later]):
        [refund] = _paid(*order).refunds.values()
        assert (refund.name, refund.reference, refund.state) == (
            OURS,
            "re_1",
            RefundState.SUCCEEDED,
        )
        assert (refund.amount, refund.requested_at, refund.reason) == (400, NOON, "damaged")


def test_what_was_given_back_counts_and_not_what_was_asked_for() -> None:
    for order in permutations([_refund(Event.REFUND_PENDING, 500), _refund(Event.REFUNDED, 300)]):
        assert _totals(_paid(*order)) == (State.PARTIALLY_REFUNDED, 300, 0, 0, 700)


@pytest.mark.parametrize("failed_first", [True, False])
def test_a_refund_that_fails_after_it_succeeded_puts_the_money_back(failed_first: bool) -> None:
    news = [
        _refund(Event.REFUNDED, AMOUNT, reason="damaged"),
        _refund(Event.REFUND_FAILED, AMOUNT, reason="lost_or_stolen_card"),
    ]
    told = _paid(*(reversed(news) if failed_first else news))
    assert _totals(told) == (State.CAPTURED, 0, 0, 0, AMOUNT)
    assert told.attention == {f"refund {OURS} of 10.00 USD failed: lost_or_stolen_card"}
    [refund] = told.refunds.values()
    assert (refund.reason, refund.failure) == ("damaged", "lost_or_stolen_card")
    again = apply(told, _refund(Event.REFUNDED, AMOUNT, "ref_2"))
    assert _totals(again) == (State.REFUNDED, AMOUNT, 0, 0, 0)


def test_of_two_refunds_one_may_fail() -> None:
    told = _paid(
        _refund(Event.REFUNDED, 600, "ref_1"),
        _refund(Event.REFUNDED, 400, "ref_2"),
        _refund(Event.REFUND_FAILED, 400, "ref_2"),
    )
    assert _totals(told) == (State.PARTIALLY_REFUNDED, 600, 0, 0, 400)
    assert told.attention == {"refund ref_2 of 4.00 USD failed: no reason given"}


@pytest.mark.parametrize("name", [None, "re_9"])
def test_a_refund_made_at_the_gateway_counts_like_ours(name: str | None) -> None:
    told = _paid(_refund(Event.REFUNDED, 600), fact(Event.REFUNDED, 0, 400, "re_9", refund=name))
    assert _totals(told) == (State.REFUNDED, AMOUNT, 0, 0, 0)
    assert told.refunds.keys() == {OURS, "re_9"}
    assert told.attention == frozenset()


def test_refunds_add_up_and_the_same_one_counts_once() -> None:
    part = _paid(fact(Event.REFUNDED, 0, 400, "re_1"))
    assert apply(part, fact(Event.REFUNDED, 0, 400, "re_1")) == part
    assert _totals(part) == (State.PARTIALLY_REFUNDED, 400, 0, 0, 600)
    whole = apply(part, fact(Event.REFUNDED, 0, 600, "re_2"))
    assert _totals(whole) == (State.REFUNDED, AMOUNT, 0, 0, 0)


def test_a_part_that_was_captured_and_given_back_whole_is_refunded() -> None:
    told = _paid(_refund(Event.REFUNDED, 600), captured=600)
    assert _totals(told) == (State.REFUNDED, 600, 0, 0, 0)
    assert (told.authorized, told.captured) == (AMOUNT, 600)


def test_a_refund_alone_proves_the_capture() -> None:
    told = fold(payment(), [fact(Event.REFUNDED, 0, AMOUNT, "re_1")])
    assert (told.state, told.authorized, told.captured) == (State.REFUNDED, AMOUNT, AMOUNT)
    assert told.order_state is OrderState.PAID


def test_a_late_capture_shows_that_a_refund_was_only_a_part() -> None:
    refunded = fold(payment(), [fact(Event.REFUNDED, 0, 400, "re_1")])
    assert refunded.state is State.REFUNDED
    told = apply(refunded, fact(Event.CAPTURED, 0, AMOUNT, "pi_1"))
    assert _totals(told) == (State.PARTIALLY_REFUNDED, 400, 0, 0, 600)


def test_more_given_back_than_was_taken_is_flagged() -> None:
    told = _paid(_refund(Event.REFUNDED, 700), captured=600)
    assert told.attention == {f"1.00 USD more went back than was taken: {OURS}"}
    assert (told.captured, told.refunded, told.refundable) == (600, 600, 0)


def test_a_dispute_takes_the_money_until_it_is_won() -> None:
    opened = _paid(_dispute(Event.DISPUTED))
    assert _totals(opened) == (State.DISPUTED, 0, 0, AMOUNT, 0)
    assert opened.under_dispute
    assert opened.attention == {"dispute dp_1 is open"}
    won = apply(opened, _dispute(Event.DISPUTE_WON))
    assert _totals(won) == (State.CAPTURED, 0, 0, 0, AMOUNT)
    assert (won.under_dispute, won.attention) == (False, frozenset())


def test_a_dispute_that_is_lost_is_a_chargeback() -> None:
    lost = _paid(_dispute(Event.DISPUTED), _dispute(Event.DISPUTE_LOST))
    assert _totals(lost) == (State.CHARGED_BACK, 0, 0, AMOUNT, 0)
    assert not lost.under_dispute
    assert lost.attention == {"dispute dp_1 is lost"}
    assert lost.disputes["dp_1"].reason == "fraudulent"


def test_the_deadline_for_evidence_is_the_latest_that_the_bank_named() -> None:
    days = [None, NOON + timedelta(days=7), NOON + timedelta(days=9)]
    for order in permutations(replace(_dispute(Event.DISPUTED), evidence_due_by=d) for d in days):
        told = _paid(*order)
        assert told.disputes["dp_1"].evidence_due_by == NOON + timedelta(days=9)
        assert told.attention == {"dispute dp_1 is open: evidence is due by 2026-12-01 12:00 UTC"}
    assert _paid(*order, _dispute(Event.DISPUTE_WON)).attention == frozenset()


def test_a_disputed_payment_keeps_what_was_refunded_of_it() -> None:
    refunded = _paid(_refund(Event.REFUNDED, 400))
    disputed = apply(refunded, _dispute(Event.DISPUTED, 600))
    assert _totals(disputed) == (State.DISPUTED, 400, 0, 600, 0)
    won = apply(disputed, _dispute(Event.DISPUTE_WON, 600))
    assert _totals(won) == (State.PARTIALLY_REFUNDED, 400, 0, 0, 600)


def test_a_refund_of_a_disputed_payment_counts_and_the_dispute_still_speaks() -> None:
    told = _paid(_dispute(Event.DISPUTED, 600), _refund(Event.REFUNDED, 400))
    assert _totals(told) == (State.DISPUTED, 400, 0, 600, 0)
    assert told.attention == {"dispute dp_1 is open"}
    twice = _paid(_dispute(Event.DISPUTED), _refund(Event.REFUNDED, 400))
    assert _totals(twice) == (State.DISPUTED, 400, 0, 600, 0)
    assert f"4.00 USD more went back than was taken: dp_1, {OURS}" in twice.attention


def test_a_dispute_over_more_than_was_taken_makes_no_money() -> None:
    won = _paid(_dispute(Event.DISPUTE_WON, AMOUNT + 200))
    assert (won.captured, won.refundable, won.attention) == (AMOUNT, AMOUNT, frozenset())


def test_a_refund_that_failed_is_a_worry_until_another_took_its_place() -> None:
    failed = _paid(_refund(Event.REFUND_FAILED, 400))
    assert any("failed" in worry for worry in failed.attention)
    again = replace(_refund(Event.REFUNDED, 400, "re_2"), at=NOON + timedelta(days=1))
    assert apply(failed, again).attention == frozenset()


def test_money_of_a_canceled_order_that_is_still_here_is_a_worry() -> None:
    told = _paid(fact(Event.CANCELED))
    assert told.attention == {"canceled, and 10.00 USD of its money is still here"}
    assert apply(told, _refund(Event.REFUND_PENDING, AMOUNT)).attention == frozenset()


@pytest.mark.parametrize("known_first", [True, False])
def test_what_was_looked_at_does_not_hide_the_next_trouble_of_its_kind(known_first: bool) -> None:
    def then(told: Payment, *later: Fact) -> frozenset[str]:
        """What needs attention once `later` follows what somebody has looked at."""
        looked_at = replace(fact(Event.ACKNOWLEDGED), acknowledged=tuple(told.attention))
        news = (looked_at, *later) if known_first else (*later, looked_at)
        assert told.attention
        return fold(told, news).attention

    failed = _paid(_refund(Event.REFUND_FAILED, 400, "re_1"))
    assert then(failed, _refund(Event.REFUND_FAILED, 400, "re_2")) == {
        "refund re_2 of 4.00 USD failed: no reason given"
    }
    canceled = _paid(fact(Event.CANCELED))
    assert then(canceled, _dispute(Event.DISPUTED), _dispute(Event.DISPUTE_WON)) == {
        "canceled, and 10.00 USD of its money is still here, even after dp_1"
    }
    too_much = _paid(_dispute(Event.DISPUTED), _refund(Event.REFUNDED, 400, "re_1"))
    instead = (_dispute(Event.DISPUTE_WON), _refund(Event.REFUNDED, AMOUNT, "re_2"))
    assert then(too_much, *instead) == {"4.00 USD more went back than was taken: re_1, re_2"}
    two = _paid(fact(Event.AUTHORIZED, 2, AMOUNT, "pi_2"))
    assert then(two, fact(Event.AUTHORIZED, 3, AMOUNT, "pi_3")) == {
        "more than one gateway payment for this order: pi_1, pi_2, pi_3"
    }
    more = _paid(fact(Event.AUTHORIZED, 1, AMOUNT + 1, "pi_1"))
    assert then(more, fact(Event.AUTHORIZED, 1, AMOUNT + 2, "pi_1")) == {
        "the gateway holds or took 10.02 USD, more than the order's amount"
    }


def test_a_banks_inquiry_takes_no_money_and_can_become_a_dispute_that_does() -> None:
    inquiry = _paid(_dispute(Event.DISPUTED, 0))
    assert _totals(inquiry) == (State.DISPUTED, 0, 0, 0, AMOUNT)
    assert inquiry.attention == {"dispute dp_1 is open"}
    closed = apply(inquiry, _dispute(Event.DISPUTE_WON, 0))
    assert _totals(closed) == (State.CAPTURED, 0, 0, 0, AMOUNT)
    disputed = apply(inquiry, _dispute(Event.DISPUTED))
    assert _totals(disputed) == (State.DISPUTED, 0, 0, AMOUNT, 0)
    assert _dispute(Event.DISPUTED, 0).key != _dispute(Event.DISPUTED).key  # both are kept


def test_nothing_can_be_refunded_while_a_bank_has_some_of_the_money() -> None:
    disputed = _paid(_dispute(Event.DISPUTED, 400))
    assert (disputed.left, disputed.refundable) == (600, 0)
    assert apply(disputed, _dispute(Event.DISPUTE_LOST, 400)).refundable == 0
    assert apply(disputed, _dispute(Event.DISPUTE_WON, 400)).refundable == AMOUNT
    assert _paid(_dispute(Event.DISPUTED, 0)).refundable == AMOUNT


def test_one_dispute_may_be_lost_and_another_open() -> None:
    lost = _paid(_dispute(Event.DISPUTE_LOST, 400))
    again = apply(lost, _dispute(Event.DISPUTED, 600, "dp_2"))
    assert _totals(again) == (State.DISPUTED, 0, 0, AMOUNT, 0)
    won = apply(again, _dispute(Event.DISPUTE_WON, 600, "dp_2"))
    assert _totals(won) == (State.CHARGED_BACK, 0, 0, 400, 600)
    assert {dispute.state for dispute in won.disputes.values()} == {
        *(DisputeState.LOST, DisputeState.WON),
    }


@pytest.mark.parametrize(
    "news",
    [_refund(Event.REFUND_FAILED, AMOUNT), _dispute(Event.DISPUTE_WON)],
    ids=["refund failed", "dispute won"],
)
def test_money_that_came_back_proves_that_it_was_taken(news: Fact) -> None:
    told = fold(payment(), [news])
    assert _totals(told) == (State.CAPTURED, 0, 0, 0, AMOUNT)
    assert told.order_state is OrderState.PAID
