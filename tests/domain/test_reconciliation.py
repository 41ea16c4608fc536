"""Comparing is symmetric, loses nothing, and is right to the minor unit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Event, Fact, Source
from app.domain.gateway import (
    GatewayDispute,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    MovementKind,
    Status,
)
from app.domain.money import Money
from app.domain.payment import Payment, fold
from app.domain.reconciliation import (
    CHECKOUT_TAKES,
    Amount,
    Figure,
    Figures,
    Finding,
    Kind,
    Line,
    Verdict,
    dispute_here,
    dispute_there,
    fee_here,
    fee_there,
    figures,
    is_under_way,
    lines,
    payment_here,
    payment_there,
    refund_here,
    refund_there,
    verdict,
)
from app.domain.reversals import DisputeState, RefundState

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
PRICE = Money(4999, "usd")

amounts = st.builds(
    Amount, st.sampled_from(Figure), st.sampled_from(("usd", "jpy")), st.integers(-(10**6), 10**9)
)
some_figures = st.lists(amounts, max_size=3).map(lambda some: figures(*some))


def told(event: Event, minor: int, reference: str, **more: Any) -> Fact:
    return Fact(event, NOON, Source.GATEWAY, amount=minor, reference=reference, **more)


def order(*facts: Fact) -> Payment:
    return fold(Payment("order-1", PRICE), facts)


def paid_there(status: Status, held: int, captured: int, currency: str = "usd") -> Figures:
    price = Money(4999, currency)
    return payment_there(
        GatewayPayment("pi_1", "order-1", status, price, authorized=held, captured=captured)
    )


def refund(state: RefundState, minor: int, refund_id: str = "re_1") -> Figures:
    return refund_there(GatewayRefund(refund_id, "pi_1", PRICE.of(minor), state))


def dispute(state: DisputeState, minor: int) -> Figures:
    return dispute_there(GatewayDispute("du_1", "pi_1", PRICE.of(minor), state))


@given(some_figures)
def test_the_same_figures_match_and_a_side_that_is_missing_is_named(some: Figures) -> None:
    for kind in (Kind.PAYMENT, Kind.REFUND, Kind.DISPUTE, Kind.FEE):
        assert verdict(kind, some, some) is Verdict.MATCHES
        if some:
            assert verdict(kind, None, some) is Verdict.MISSING_HERE
            assert verdict(kind, some, None) is Verdict.MISSING_THERE
            assert verdict(kind, (), some) is verdict(kind, some, ()) is Verdict.DIFFERS


@given(some_figures, some_figures)
def test_a_difference_is_one_from_either_side(ours: Figures, theirs: Figures) -> None:
    there = verdict(Kind.PAYMENT, ours, theirs)
    assert verdict(Kind.PAYMENT, theirs, ours) is there
    assert (there is Verdict.MATCHES) is (ours == theirs)
    assert (there is Verdict.MATCHES) is not any(each.difference for each in lines(ours, theirs))
    mirrored = [(each.figure, each.currency, -each.difference) for each in lines(theirs, ours)]
    assert [(each.figure, each.currency, each.difference) for each in lines(ours, theirs)] == (
        mirrored
    )


@given(st.lists(st.tuples(some_figures, some_figures), max_size=4))
def test_the_sums_are_those_of_the_parts(pairs: list[tuple[Figures, Figures]]) -> None:
    whole = lines(
        [amount for ours, _ in pairs for amount in ours],
        [amount for _, theirs in pairs for amount in theirs],
    )
    for figure in Figure:
        for currency in ("usd", "jpy"):
            parts = [
                each
                for ours, theirs in pairs
                for each in lines(ours, theirs)
                if (each.figure, each.currency) == (figure, currency)
            ]
            sums = [each for each in whole if (each.figure, each.currency) == (figure, currency)]
            assert sum(each.ours for each in sums) == sum(each.ours for each in parts)
            assert sum(each.theirs for each in sums) == sum(each.theirs for each in parts)
            assert sum(each.difference for each in sums) == sum(each.difference for each in parts)


def test_what_is_held_and_what_was_taken_match_as_they_are() -> None:
    held = order(told(Event.AUTHORIZED, 4999, "pi_1"))
    assert payment_here(held, "pi_1") == paid_there(Status.AUTHORIZED, 4999, 0)
    part = order(told(Event.AUTHORIZED, 4999, "pi_1"), told(Event.CAPTURED, 3000, "pi_1"))
    assert payment_here(part, "pi_1") == paid_there(Status.CAPTURED, 3000, 3000)
    released = order(told(Event.AUTHORIZED, 4999, "pi_1"), told(Event.VOIDED, 0, "pi_1"))
    assert payment_here(released, "pi_1") == paid_there(Status.VOIDED, 0, 0) == ()


def test_another_payment_of_the_order_has_no_money_by_our_books() -> None:
    both = order(
        told(Event.CAPTURED, 4999, "pi_1"),
        Fact(Event.VOIDED, NOON, Source.GATEWAY, reference="pi_2"),
    )
    assert payment_here(both, "pi_2") == ()
    assert payment_here(both, "pi_3") is None


def test_money_in_another_currency_is_not_the_same_money() -> None:
    ours = payment_here(order(told(Event.CAPTURED, 4999, "pi_1")), "pi_1")
    theirs = paid_there(Status.CAPTURED, 4999, 4999, "eur")
    assert verdict(Kind.PAYMENT, ours, theirs) is Verdict.DIFFERS
    assert lines(ours or (), theirs) == [
        Line(Figure.CAPTURED, "eur", 0, 4999),
        Line(Figure.CAPTURED, "usd", 4999, 0),
    ]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (Event.REFUND_PENDING, RefundState.PENDING),
        (Event.REFUNDED, RefundState.SUCCEEDED),
        (Event.REFUND_FAILED, RefundState.FAILED),
    ],
)
def test_a_refund_matches_in_its_own_state_only(event: Event, state: RefundState) -> None:
    known = order(told(event, 1000, "re_1", refund="ref_1"))
    here = refund_here(known, "re_1", "ref_1")
    for there in RefundState:
        assert (here == refund(there, 1000)) is (there is state)


def test_of_two_refunds_of_one_name_one_is_too_many() -> None:
    known = order(told(Event.REFUNDED, 1000, "re_1", refund="ref_1"))
    assert refund_here(known, "re_2", "ref_1") is None
    asked = order(Fact(Event.REFUND_PENDING, NOON, Source.API, amount=1000, refund="ref_1"))
    assert refund_here(asked, "re_2", "ref_1") == refund(RefundState.PENDING, 1000)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (Event.DISPUTED, DisputeState.OPEN),
        (Event.DISPUTE_WON, DisputeState.WON),
        (Event.DISPUTE_LOST, DisputeState.LOST),
    ],
)
def test_a_dispute_matches_in_its_own_state_only(event: Event, state: DisputeState) -> None:
    here = dispute_here(order(told(event, 1000, "du_1")), "du_1")
    for there in DisputeState:
        assert (here == dispute(there, 1000)) is (there is state)


def test_a_fee_is_compared_in_the_currency_of_the_account() -> None:
    known = order(told(Event.FEE_CHARGED, 175, "txn_1", currency="eur"))
    seen = GatewayMovement("txn_1", MovementKind.CHARGE, 4999, 175, "eur", NOON, "pi_1")
    assert fee_here(known, "txn_1") == fee_there(seen)
    assert fee_here(known, "txn_2") is None


def test_a_try_that_brought_no_money_is_not_missed() -> None:
    assert verdict(Kind.PAYMENT, None, ()) is Verdict.MATCHES
    assert verdict(Kind.REFUND, (), None) is Verdict.MATCHES
    # But a bank's inquiry, which takes none, is news.
    assert verdict(Kind.DISPUTE, None, ()) is Verdict.MISSING_HERE


def test_a_checkout_is_under_way_until_it_is_decided_or_too_old() -> None:
    young, old = NOON + timedelta(minutes=1), NOON + CHECKOUT_TAKES
    undecided = order(Fact(Event.ATTEMPTED, NOON, Source.WORKFLOW, attempt=1))
    assert is_under_way(undecided, NOON, young)
    assert not is_under_way(undecided, NOON, old)
    assert not is_under_way(order(told(Event.CAPTURED, 4999, "pi_1")), NOON, young)
    held = paid_there(Status.AUTHORIZED, 4999, 0)
    assert verdict(Kind.PAYMENT, None, held, under_way=True) is Verdict.OPEN
    assert verdict(Kind.PAYMENT, held, held, under_way=True) is Verdict.MATCHES


def test_a_finding_says_what_differs_and_nothing_else() -> None:
    ours = figures(Amount(Figure.CAPTURED, "usd", 4999), Amount(Figure.HELD, "jpy", 5))
    theirs = figures(Amount(Figure.CAPTURED, "usd", 5000), Amount(Figure.HELD, "jpy", 5))
    found = Finding(Kind.PAYMENT, "pi_1", Verdict.DIFFERS, "order-1", "pi_1", ours, theirs)
    assert str(found) == "payment pi_1: captured 49.99 USD here, 50.00 USD at the gateway"


def test_a_fee_that_came_back_is_below_zero() -> None:
    seen = GatewayMovement("txn_1", MovementKind.DISPUTE, 0, -1500, "usd", NOON, "pi_1")
    assert fee_there(seen) == (Amount(Figure.FEES, "usd", -1500),)
