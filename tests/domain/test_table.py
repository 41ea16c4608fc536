"""The table of what may happen to a payment says all of it, and nothing that cannot be."""

from itertools import combinations, product

from app.domain.facts import Event
from app.domain.payment import (
    AFTER_CAPTURE,
    BEFORE_MONEY,
    CLOSED,
    IN_FLIGHT,
    MAY_TRY_AGAIN,
    TRANSITIONS,
    State,
    apply,
    fold,
)
from tests.domain.histories import AMOUNT, DISPUTE_EVENTS, fact, payment
from tests.domain.stages import GIVES_MONEY_BACK_TO_US, STAGE

_TOLD_OF_THE_PAYMENT = [
    fact(event, 1, AMOUNT, "pi_1")
    for event in (
        Event.OUTCOME_UNKNOWN,
        Event.ACTION_REQUIRED,
        Event.PROCESSING,
        Event.FAILED,
        Event.DECLINED,
        Event.EXPIRED,
        Event.AUTHORIZED,
        Event.VOIDED,
        Event.CAPTURED,
    )
] + [fact(Event.CAPTURED, 1, 300, "pi_1")]
_TOLD_OF_REVERSALS = [
    *(
        fact(event, 0, amount, refund=name)
        for event in (Event.REFUND_PENDING, Event.REFUNDED, Event.REFUND_FAILED)
        for name, amount in (("ref_1", 300), ("ref_2", 700))
    ),
    *(fact(event, 0, AMOUNT, name) for event in DISPUTE_EVENTS for name in ("dp_1", "dp_2")),
]
_OTHER_NEWS = [
    fact(event, 1, reason="a word")
    for event in Event
    if event not in {known.event for known in (*_TOLD_OF_THE_PAYMENT, *_TOLD_OF_REVERSALS)}
]


def _everything_that_can_be() -> dict[tuple[State, Event], set[State]]:
    """Where each event leads from each state, by trying every short history of one attempt, two
    refunds and two disputes. The order of news does not matter, so sets of it are enough."""
    told = [*_TOLD_OF_THE_PAYMENT, *_TOLD_OF_REVERSALS]
    reached: dict[tuple[State, Event], set[State]] = {}
    for length in range(4):
        for history in combinations(told, length):
            before = fold(payment(), history)
            for news in (*told, *_OTHER_NEWS):
                after = apply(before, news).state
                reached.setdefault((before.state, news.event), set()).add(after)
    return reached


def test_every_event_in_every_state_is_decided_and_nothing_else() -> None:
    assert TRANSITIONS.keys() == set(product(State, Event))


def test_the_table_names_exactly_the_states_that_can_follow() -> None:
    reached = _everything_that_can_be()
    assert reached == {pair: set(move.to) for pair, move in TRANSITIONS.items()}


def test_no_state_is_named_twice() -> None:
    assert all(len(move.to) == len(set(move.to)) for move in TRANSITIONS.values())


def test_what_contradicts_is_a_void_and_money_that_was_taken_all_the_same() -> None:
    for (state, event), move in TRANSITIONS.items():
        void_last = state in AFTER_CAPTURE and event is Event.VOIDED
        void_first = state is State.VOIDED and set(move.to) <= {*AFTER_CAPTURE}
        assert move.contradicts == (void_last or void_first), (state, event)


def test_the_table_leads_back_only_where_money_comes_back_to_us() -> None:
    back = {
        event
        for (state, event), move in TRANSITIONS.items()
        if any(STAGE[to] < STAGE[state] for to in move.to)
    }
    assert back == GIVES_MONEY_BACK_TO_US


def test_every_state_is_either_before_money_or_holds_it_or_is_closed() -> None:
    holding = {State.AUTHORIZED, State.CAPTURED, State.PARTIALLY_REFUNDED, State.DISPUTED}
    assert sorted([*BEFORE_MONEY, *holding, *CLOSED]) == sorted(State)
    assert set(BEFORE_MONEY) >= IN_FLIGHT | MAY_TRY_AGAIN
    assert not IN_FLIGHT & MAY_TRY_AGAIN
