"""What a payment is, what may happen to it, and what it becomes then.

A `Payment` is the fold of its facts. Networks deliver late, twice and in the wrong order, so the
fold does not depend on order or repetition: totals only grow, repeated news changes nothing,
contradictory news is kept and flagged.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod
from app.domain.money import Money

_Detail = TypeVar("_Detail", str, PaymentMethod, Decline, NextAction)


class State(StrEnum):
    """Where the payment stands."""

    INITIATED = "initiated"  # an attempt is on its way to the gateway
    UNKNOWN = "unknown"  # the attempt was sent and its outcome is not known: it is being looked up
    REQUIRES_ACTION = "requires_action"  # the shopper must authenticate
    PROCESSING = "processing"  # the bank takes days
    FAILED = "failed"  # the attempt could not be made; nothing was charged; another may be
    DECLINED = "declined"  # the bank said no; another payment method may be tried
    EXPIRED = "expired"  # the checkout ran out of time with nothing authorized
    AUTHORIZED = "authorized"  # the money is held
    VOIDED = "voided"  # the hold was released
    CAPTURED = "captured"  # the money is ours
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"  # all that was captured was given back


class OrderState(StrEnum):
    """Where the order stands."""

    OPEN = "open"
    PAID = "paid"
    CANCELED = "canceled"
    FULFILLED = "fulfilled"


# Nothing is held and nothing was taken: the latest attempt speaks for the payment.
BEFORE_MONEY = (
    State.INITIATED,
    State.UNKNOWN,
    State.REQUIRES_ACTION,
    State.PROCESSING,
    State.FAILED,
    State.DECLINED,
)
IN_FLIGHT = frozenset({State.INITIATED, State.UNKNOWN})
MAY_TRY_AGAIN = frozenset({State.FAILED, State.DECLINED})
CLOSED = frozenset({State.EXPIRED, State.VOIDED, State.REFUNDED})
_AFTER_CAPTURE = (State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED)
_MONEY = frozenset({State.AUTHORIZED, *_AFTER_CAPTURE})


@dataclass(frozen=True)
class Attempt:
    """One try at an authorization."""

    number: int
    state: State = State.INITIATED
    method: PaymentMethod | None = None
    transaction_id: str | None = None
    decline: Decline | None = None
    next_action: NextAction | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Payment:
    """A payment as its facts tell it. Amounts are totals in minor units of `amount.currency`."""

    order_id: str
    amount: Money
    state: State = State.INITIATED
    order_state: OrderState = OrderState.OPEN
    attempts: dict[int, Attempt] = field(default_factory=dict)
    transaction_ids: frozenset[str] = frozenset()
    capture_before: datetime | None = None
    confirmed: bool = False
    authorized: int = 0
    captured: int = 0
    refunds: dict[str, int] = field(default_factory=dict)
    steps_done: dict[str, str] = field(default_factory=dict)
    steps_undone: frozenset[str] = frozenset()
    attention: frozenset[str] = frozenset()

    @property
    def payment_id(self) -> str:
        """Our own id: derived from the order's, so that it is the same whoever asks first."""
        return (
            "pay_" + hashlib.sha256(f"tillflow payment {self.order_id}".encode()).hexdigest()[:24]
        )

    @property
    def refunded(self) -> int:
        """Total given back, in minor units."""
        return sum(self.refunds.values())

    @property
    def attempt(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[max(self.attempts)] if self.attempts else None

    @property
    def transaction_id(self) -> str | None:
        """The gateway's id: of the attempt that brought the money, else of the latest."""
        newest_first = sorted(
            self.attempts.values(), key=lambda a: (a.state in _MONEY, a.number), reverse=True
        )
        named = [attempt.transaction_id for attempt in newest_first if attempt.transaction_id]
        return next(iter([*named, *sorted(self.transaction_ids)]), None)

    @property
    def next_attempt_number(self) -> int:
        """The number the next request to pay gets: a new one only after the last one has ended."""
        last = self.attempt
        if last is None:
            return 1
        return last.number + 1 if self.state in MAY_TRY_AGAIN else last.number


@dataclass(frozen=True)
class Move:
    """What the table decides: the state to go to, and whether the news contradicts what we knew."""

    to: State
    contradicts: bool = False


def _table() -> dict[tuple[State, Event], Move]:
    s, e = State, Event
    table: dict[tuple[State, Event], Move] = {}

    def when(event: Event, states: Iterable[State], to: State, contradicts: bool = False) -> None:
        table.update({(state, event): Move(to, contradicts) for state in states})

    def unchanged(event: Event, *states: State) -> None:
        table.update({(state, event): Move(state) for state in states})

    # Within one attempt each answer replaces a vaguer one, never the other way round.
    vagueness = (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED, s.VOIDED, *_AFTER_CAPTURE)
    for event, to in (
        (e.ATTEMPTED, s.INITIATED),
        (e.OUTCOME_UNKNOWN, s.UNKNOWN),
        (e.ACTION_REQUIRED, s.REQUIRES_ACTION),
        (e.PROCESSING, s.PROCESSING),
        (e.FAILED, s.FAILED),
        (e.DECLINED, s.DECLINED),
    ):
        rank = vagueness.index(to)
        when(event, vagueness[: rank + 1], to)
        unchanged(event, *vagueness[rank + 1 :])

    when(e.EXPIRED, BEFORE_MONEY, s.EXPIRED)
    unchanged(e.EXPIRED, s.EXPIRED, s.AUTHORIZED, s.VOIDED, *_AFTER_CAPTURE)

    when(e.AUTHORIZED, (*BEFORE_MONEY, s.EXPIRED), s.AUTHORIZED)
    unchanged(e.AUTHORIZED, s.AUTHORIZED, s.VOIDED, *_AFTER_CAPTURE)

    when(e.VOIDED, (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED), s.VOIDED)
    unchanged(e.VOIDED, s.VOIDED)
    for state in _AFTER_CAPTURE:
        when(e.VOIDED, (state,), state, contradicts=True)

    when(e.CAPTURED, (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED), s.CAPTURED)
    when(e.CAPTURED, (s.VOIDED,), s.CAPTURED, contradicts=True)
    unchanged(e.CAPTURED, *_AFTER_CAPTURE)

    # `apply` makes it PARTIALLY_REFUNDED where the totals say so.
    when(e.REFUNDED, (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED, *_AFTER_CAPTURE), s.REFUNDED)
    when(e.REFUNDED, (s.VOIDED,), s.REFUNDED, contradicts=True)

    for event in (
        e.INITIATED,
        e.CONFIRMED,
        e.STEP_DONE,
        e.STEP_REFUSED,
        e.STEP_UNDONE,
        e.CANCELED,
        e.FULFILLED,
        e.FLAGGED,
    ):
        unchanged(event, *State)
    return table


TRANSITIONS = _table()

_ORDER_RANK = {state: rank for rank, state in enumerate(OrderState)}
_ORDER_STATE = {
    Event.CAPTURED: OrderState.PAID,
    Event.REFUNDED: OrderState.PAID,
    Event.EXPIRED: OrderState.CANCELED,
    Event.CANCELED: OrderState.CANCELED,
    Event.FULFILLED: OrderState.FULFILLED,
}


def apply(payment: Payment, fact: Fact) -> Payment:
    """The payment after `fact`. One already known, or older than what we know, changes nothing."""
    payment = _count(payment, fact)
    payment = _note_attempt(payment, fact)
    return _advance(payment, fact)


def fold(payment: Payment, facts: Iterable[Fact]) -> Payment:
    """`apply` each of `facts` in turn."""
    for fact in facts:
        payment = apply(payment, fact)
    return payment


def _count(payment: Payment, fact: Fact) -> Payment:
    """Totals only grow, and what is known of a later stage proves the earlier one."""
    authorized, captured, refunds = payment.authorized, payment.captured, payment.refunds
    amount = fact.amount or 0
    if fact.event is Event.AUTHORIZED:
        authorized = max(authorized, amount)
    elif fact.event is Event.CAPTURED:
        captured = max(captured, amount)
    elif fact.event is Event.REFUNDED and fact.reference is not None:
        refunds = {**refunds, fact.reference: max(refunds.get(fact.reference, 0), amount)}
    captured = max(captured, sum(refunds.values()))
    authorized = max(authorized, captured)
    attention = payment.attention
    if authorized > payment.amount.minor:
        attention |= {"the gateway holds or took more than the order's amount"}
    return replace(
        payment, authorized=authorized, captured=captured, refunds=refunds, attention=attention
    )


def _note_attempt(payment: Payment, fact: Fact) -> Payment:
    if not fact.attempt:
        return payment
    known = payment.attempts.get(fact.attempt, Attempt(fact.attempt))
    move = TRANSITIONS[known.state, fact.event]
    transaction_id = fact.reference if fact.event in _NAMES_TRANSACTION else None
    noted = replace(
        known,
        state=move.to,
        method=_fuller(known.method, fact.method),
        transaction_id=_fuller(known.transaction_id, transaction_id),
        decline=_fuller(known.decline, fact.decline),
        next_action=_fuller(known.next_action, fact.next_action),
        idempotency_key=_fuller(known.idempotency_key, fact.idempotency_key),
    )
    return replace(payment, attempts={**payment.attempts, fact.attempt: noted})


def _fuller(known: _Detail | None, learnt: _Detail | None) -> _Detail | None:
    """The more telling of two; of two that tell as much, the same one whichever came first."""
    told = [detail for detail in (known, learnt) if detail is not None]
    return max(told, key=lambda detail: (-repr(detail).count("=None"), repr(detail)), default=None)


def _advance(payment: Payment, fact: Fact) -> Payment:
    state, event, attention = payment.state, fact.event, payment.attention
    move = TRANSITIONS[state, event]
    state = move.to
    if move.contradicts:
        attention |= {"captured at the gateway although it was voided"}
    if state in BEFORE_MONEY and payment.attempt is not None:
        state = payment.attempt.state  # the latest attempt speaks for the payment
    if state is State.REFUNDED and payment.refunded < payment.captured:
        state = State.PARTIALLY_REFUNDED
    elif state is State.PARTIALLY_REFUNDED and payment.refunded >= payment.captured:
        state = State.REFUNDED

    order_state = payment.order_state
    target = _ORDER_STATE.get(event, order_state)
    if {target, order_state} == {OrderState.CANCELED, OrderState.FULFILLED}:
        attention |= {"fulfilled although it was canceled"}
    if _ORDER_RANK[target] > _ORDER_RANK[order_state]:
        order_state = target

    steps_done, steps_undone = payment.steps_done, payment.steps_undone
    if event is Event.STEP_DONE and fact.step is not None:
        steps_done = {**steps_done, fact.step: fact.reference or ""}
    elif event is Event.STEP_UNDONE and fact.step is not None:
        steps_undone |= {fact.step}
    elif event is Event.FLAGGED and fact.reason is not None:
        attention |= {fact.reason}

    transaction_ids = payment.transaction_ids
    if fact.reference is not None and event in _NAMES_TRANSACTION:
        transaction_ids |= {fact.reference}
        if len(transaction_ids) > 1:
            attention |= {"more than one gateway payment for this order"}

    return replace(
        payment,
        state=state,
        order_state=order_state,
        transaction_ids=transaction_ids,
        steps_done=steps_done,
        steps_undone=steps_undone,
        attention=attention,
        confirmed=payment.confirmed or event is Event.CONFIRMED,
        capture_before=min(
            filter(None, (payment.capture_before, fact.capture_before)), default=None
        ),
    )


_NAMES_TRANSACTION = frozenset(
    {
        Event.ACTION_REQUIRED,
        Event.PROCESSING,
        Event.DECLINED,
        Event.AUTHORIZED,
        Event.CAPTURED,
        Event.VOIDED,
    }
)
