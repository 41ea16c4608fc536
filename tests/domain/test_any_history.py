"""Whatever happened, however often and in whatever order we learnt it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Fact
from app.domain.payment import BEFORE_MONEY, TRANSITIONS, Payment, State, apply, fold
from tests.domain.histories import histories, payment


def _reachable() -> dict[State, set[State]]:
    """From each state, where the table leads sooner or later."""
    reached = {state: {state} for state in State}
    # How much of the money went back is told by the totals, not by the table.
    reached[State.PARTIALLY_REFUNDED].add(State.REFUNDED)
    reached[State.REFUNDED].add(State.PARTIALLY_REFUNDED)
    for _ in State:
        for (state, _event), move in TRANSITIONS.items():
            reached[state] |= reached[move.to]
        reached[State.REFUNDED] |= reached[State.PARTIALLY_REFUNDED]
    return reached


FORWARD = _reachable()


def _went_backwards(before: Payment, after: Payment) -> bool:
    new_attempt = max(after.attempts, default=0) > max(before.attempts, default=0)
    if new_attempt and {before.state, after.state} <= {*BEFORE_MONEY}:
        return False
    return after.state not in FORWARD[before.state]


def _steps(facts: list[Fact]) -> list[tuple[Payment, Payment]]:
    """The payment before and after each fact."""
    told = [payment()]
    for fact in facts:
        told.append(apply(told[-1], fact))
    return list(pairwise(told))


def test_the_table_leads_out_of_every_state_but_never_in_a_circle() -> None:
    refunded = {State.PARTIALLY_REFUNDED, State.REFUNDED}
    circles = {
        frozenset({a, b}) for a in State for b in FORWARD[a] if a is not b and a in FORWARD[b]
    }
    assert circles <= {frozenset(refunded)}
    assert all(State.REFUNDED in FORWARD[state] for state in State)


@given(histories, st.data())
def test_order_and_repetition_do_not_matter(history: list[Fact], data: st.DataObject) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history))) if history else []
    shuffled = data.draw(st.permutations(history + repeated))
    assert fold(payment(), shuffled) == fold(payment(), history)


@given(histories)
def test_old_news_changes_nothing(history: list[Fact]) -> None:
    told = fold(payment(), history)
    for fact in history:
        assert apply(told, fact) == told


@given(histories)
def test_never_more_given_back_than_taken_nor_taken_than_held(history: list[Fact]) -> None:
    for _before, after in _steps(history):
        assert after.authorized >= after.captured >= after.refunded >= 0


@given(histories)
def test_totals_never_fall(history: list[Fact]) -> None:
    for before, after in _steps(history):
        assert after.authorized >= before.authorized
        assert after.captured >= before.captured
        assert after.refunded >= before.refunded


@given(histories)
def test_the_state_never_goes_backwards(history: list[Fact]) -> None:
    for before, after in _steps(history):
        assert not _went_backwards(before, after), (before.state, after.state)


@given(histories)
def test_nothing_is_forgotten(history: list[Fact]) -> None:
    for before, after in _steps(history):
        assert after.attention >= before.attention
        assert after.transaction_ids >= before.transaction_ids
        assert after.attempts.keys() >= before.attempts.keys()
        assert after.refunds.keys() >= before.refunds.keys()
        assert after.steps_done.keys() >= before.steps_done.keys()
        assert after.steps_undone >= before.steps_undone
        assert after.confirmed >= before.confirmed


@given(histories)
def test_the_state_agrees_with_the_totals(history: list[Fact]) -> None:
    told = fold(payment(), history)
    if told.state in BEFORE_MONEY or told.state is State.EXPIRED:
        assert told.authorized == 0
    if told.state in (State.AUTHORIZED, State.VOIDED):
        assert told.captured == 0
    if told.state is State.CAPTURED:
        assert told.captured > told.refunded == 0
    if told.state is State.PARTIALLY_REFUNDED:
        assert told.captured > told.refunded > 0
    if told.state is State.REFUNDED:
        assert told.captured == told.refunded > 0
