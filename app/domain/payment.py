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
from app.domain.methods import are_alike
from app.domain.money import Money
from app.domain.reversals import (
    Dispute,
    DisputeState,
    Refund,
    RefundState,
    is_made_good,
    note_dispute,
    note_refund,
)
from app.domain.totals import Totals, totals

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
    PARTIALLY_REFUNDED = "partially_refunded"  # a part of what was captured was given back
    REFUNDED = "refunded"  # all that was captured was given back
    DISPUTED = "disputed"  # the shopper's bank disputes it and may have taken the money for now
    CHARGED_BACK = "charged_back"  # a dispute was lost: the money is gone


class OrderState(StrEnum):
    """Where the order stands."""

    OPEN = "open"  # it waits for its money
    PAID = "paid"  # its money was captured
    CANCELED = "canceled"  # it was given up; what was paid goes back
    FULFILLED = "fulfilled"  # all that was ordered was done


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
# An attempt may follow: the last one has ended, is not known yet, or waits for a shopper who may
# have left the bank's page for another way to pay.
OPEN_TO_ATTEMPTS = IN_FLIGHT | MAY_TRY_AGAIN | {State.REQUIRES_ACTION}
CLOSED = frozenset({State.EXPIRED, State.VOIDED, State.REFUNDED, State.CHARGED_BACK})
# Codes of attempts that we ended ourselves: proven to have charged nothing, and not the shopper's
# fault.
GATEWAY_UNAVAILABLE = "gateway_unavailable"
NOT_CHARGED = "not_charged"
AFTER_CAPTURE = (
    State.CAPTURED,
    State.PARTIALLY_REFUNDED,
    State.REFUNDED,
    State.DISPUTED,
    State.CHARGED_BACK,
)
_MONEY = frozenset({State.AUTHORIZED, *AFTER_CAPTURE})


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

    @property
    def was_never_answered(self) -> bool:
        """It failed for an outage of the gateway's, and is proven to have charged nothing."""
        return self.state is State.FAILED and (
            self.decline is None or self.decline.code in (GATEWAY_UNAVAILABLE, NOT_CHARGED)
        )


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
    capture_due: bool = False
    confirmed: bool = False
    seen_authorized: int = 0
    seen_captured: int = 0
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    steps_done: dict[str, str] = field(default_factory=dict)
    steps_undone: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    fees: dict[str, Money] = field(default_factory=dict)  # by the gateway's id of the movement
    acknowledged: frozenset[str] = frozenset()

    @property
    def payment_id(self) -> str:
        """Our own id: derived from the order's, so that it is the same whoever asks first."""
        return (
            "pay_" + hashlib.sha256(f"tillflow payment {self.order_id}".encode()).hexdigest()[:24]
        )

    @property
    def authorized(self) -> int:
        """Total that was held, whatever became of it: what was taken was held."""
        return max(self.seen_authorized, self.captured)

    @property
    def captured(self) -> int:
        """Total that was taken, whatever became of it."""
        return self._totals.captured

    @property
    def refunded(self) -> int:
        """Total given back."""
        return self._totals.refunded

    @property
    def refunds_pending(self) -> int:
        """Total on its way back."""
        return self._totals.refunds_pending

    @property
    def disputed(self) -> int:
        """Total that banks have taken back, for now or for good."""
        return self._totals.disputed

    @property
    def left(self) -> int:
        """What is still ours of what was taken."""
        return self._totals.left

    @property
    def refundable(self) -> int:
        """What can still be given back: nothing while a bank has some of the money, or has won it.
        Source: Stripe refuses to refund a charge that is disputed or lost."""
        with_a_bank = any(d.amount and d.holds_money for d in self.disputes.values())
        return 0 if with_a_bank else self.left

    @property
    def _totals(self) -> Totals:
        return totals(self.seen_captured, self.refunds.values(), self.disputes.values())

    @property
    def under_dispute(self) -> bool:
        """Whether a dispute waits for its end."""
        return any(d.state is DisputeState.OPEN for d in self.disputes.values())

    @property
    def attention(self) -> frozenset[str]:
        """Why somebody should look at it: what nobody has looked at yet.

        An acknowledgement is of words, so that it may come before or after what it is about. Hence
        each worry names what it is about: the next trouble of its kind has other words.
        """
        return self.flags.union(self._worries()) - self.acknowledged

    def _worries(self) -> Iterable[str]:
        if self.authorized > self.amount.minor:
            sum_ = self.amount.of(self.authorized)
            yield f"the gateway holds or took {sum_}, more than the order's amount"
        if self._totals.excess:
            sum_, who = self.amount.of(self._totals.excess), self._reversals(hold_money=True)
            yield f"{sum_} more went back than was taken: {who}"
        if self.order_state is OrderState.CANCELED and self.left:
            sum_, who = self.amount.of(self.left), self._reversals(hold_money=False)
            after = f", even after {who}" if who else ""
            yield f"canceled, and {sum_} of its money is still here{after}"
        if len(self.transaction_ids) > 1:
            which = ", ".join(sorted(self.transaction_ids))
            yield f"more than one gateway payment for this order: {which}"
        if self.capture_due and self.state is State.AUTHORIZED:
            yield "the hold ends soon: capture or cancel"
        for refund in self.refunds.values():
            failed = refund.state is RefundState.FAILED
            if failed and not is_made_good(refund, self.refunds.values()):
                sum_, why = self.amount.of(refund.amount), refund.failure or "no reason given"
                yield f"refund {refund.name} of {sum_} failed: {why}"
        for dispute in self.disputes.values():
            if dispute.state is not DisputeState.WON:
                due = dispute.evidence_due_by if dispute.state is DisputeState.OPEN else None
                deadline = f": evidence is due by {due:%Y-%m-%d %H:%M} UTC" if due else ""
                yield f"dispute {dispute.dispute_id} is {dispute.state}{deadline}"

    def _reversals(self, *, hold_money: bool) -> str:
        """The refunds and disputes that have money, or those whose money is ours again."""
        both: dict[str, Refund | Dispute] = {**self.refunds, **self.disputes}
        return ", ".join(
            sorted(n for n, one in both.items() if one.amount and one.holds_money is hold_money)
        )

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

    def attempt_number(self, method: str) -> int:
        """The number that a request to pay by `method` gets: a new one after the last attempt has
        ended, or where the shopper left it for another method."""
        last = self.attempt
        if last is None:
            return 1
        left = (
            self.state is State.REQUIRES_ACTION
            and last.method is not None
            and not are_alike(last.method.type, method)
        )
        return last.number + 1 if left or self.state in MAY_TRY_AGAIN else last.number


@dataclass(frozen=True)
class Move:
    """What the table decides: the state to go to, and whether the news contradicts what we knew.
    Where it names several states, the totals choose among them."""

    to: tuple[State, ...]
    contradicts: bool = False


def _table() -> dict[tuple[State, Event], Move]:
    s, e = State, Event
    table: dict[tuple[State, Event], Move] = {}

    def when(event: Event, states: Iterable[State], *to: State, contradicts: bool = False) -> None:
        table.update({(state, event): Move(to, contradicts) for state in states})

    def unchanged(event: Event, *states: State) -> None:
        table.update({(state, event): Move((state,)) for state in states})

    before_capture = (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED)

    # Within one attempt each answer replaces a vaguer one, never the other way round.
    vagueness = (*BEFORE_MONEY, s.EXPIRED, s.AUTHORIZED, s.VOIDED, *AFTER_CAPTURE)
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
    unchanged(e.EXPIRED, s.EXPIRED, s.AUTHORIZED, s.VOIDED, *AFTER_CAPTURE)

    when(e.AUTHORIZED, (*BEFORE_MONEY, s.EXPIRED), s.AUTHORIZED)
    unchanged(e.AUTHORIZED, s.AUTHORIZED, s.VOIDED, *AFTER_CAPTURE)

    when(e.VOIDED, before_capture, s.VOIDED)
    unchanged(e.VOIDED, s.VOIDED)
    for state in AFTER_CAPTURE:
        when(e.VOIDED, (state,), state, contradicts=True)

    # What follows a capture proves it. After that the totals say how much of the money is left.
    for event, to in (
        (e.CAPTURED, s.CAPTURED),
        (e.REFUND_PENDING, s.CAPTURED),
        (e.REFUNDED, s.REFUNDED),
        (e.REFUND_FAILED, s.CAPTURED),
        (e.DISPUTED, s.DISPUTED),
        (e.DISPUTE_WON, s.CAPTURED),
        (e.DISPUTE_LOST, s.CHARGED_BACK),
    ):
        when(event, before_capture, to)
        when(event, (s.VOIDED,), to, contradicts=True)
        unchanged(event, *AFTER_CAPTURE)
    refunds = (s.CAPTURED, s.PARTIALLY_REFUNDED, s.REFUNDED)
    for event in (e.CAPTURED, e.REFUND_PENDING, e.DISPUTE_WON):  # more was taken than we knew
        when(event, (s.REFUNDED,), s.PARTIALLY_REFUNDED, s.REFUNDED)
    # Less was taken than refunds on their way had made us believe.
    when(e.CAPTURED, (s.PARTIALLY_REFUNDED,), s.PARTIALLY_REFUNDED, s.REFUNDED)
    when(e.REFUNDED, (s.CAPTURED,), *refunds)
    when(e.REFUNDED, (s.PARTIALLY_REFUNDED,), s.PARTIALLY_REFUNDED, s.REFUNDED)
    when(e.REFUND_FAILED, (s.PARTIALLY_REFUNDED, s.REFUNDED), *refunds)
    for state in (*refunds, s.CHARGED_BACK):
        when(e.DISPUTED, (state,), state, s.DISPUTED)
    when(e.DISPUTE_WON, (s.DISPUTED,), *AFTER_CAPTURE)
    when(e.DISPUTE_LOST, refunds, s.CHARGED_BACK)
    when(e.DISPUTE_LOST, (s.DISPUTED,), s.DISPUTED, s.CHARGED_BACK)

    for event in (
        e.INITIATED,
        e.CONFIRMED,
        e.STEP_DONE,
        e.STEP_REFUSED,
        e.STEP_UNDONE,
        e.CANCEL_REQUESTED,
        e.CANCELED,
        e.FULFILLED,
        e.FLAGGED,
        e.RESOLVED,
        e.ACKNOWLEDGED,
        e.FEE_CHARGED,
        e.EVIDENCE_DUE,
        e.CAPTURE_DUE,
    ):
        unchanged(event, *State)
    return table


TRANSITIONS = _table()

_ORDER_RANK = {state: rank for rank, state in enumerate(OrderState)}
ORDER_STATE = {
    Event.CAPTURED: OrderState.PAID,
    Event.REFUND_PENDING: OrderState.PAID,
    Event.REFUNDED: OrderState.PAID,
    Event.REFUND_FAILED: OrderState.PAID,
    Event.DISPUTED: OrderState.PAID,
    Event.DISPUTE_WON: OrderState.PAID,
    Event.DISPUTE_LOST: OrderState.PAID,
    Event.EXPIRED: OrderState.CANCELED,
    Event.CANCELED: OrderState.CANCELED,
    Event.FULFILLED: OrderState.FULFILLED,
}


def apply(payment: Payment, fact: Fact) -> Payment:
    """The payment after `fact`. One already known, or older than what we know, changes nothing."""
    payment = _count(payment, fact)
    payment = _note_attempt(payment, fact)
    return _advance(payment, fact)


def is_repetition(payment: Payment, fact: Fact) -> bool:
    """Whether `fact` tells of an authorization that is known, and no more: each answer after it
    does."""
    return fact.event is Event.AUTHORIZED and apply(payment, fact) == payment


def fold(payment: Payment, facts: Iterable[Fact]) -> Payment:
    """`apply` each of `facts` in turn."""
    for fact in facts:
        payment = apply(payment, fact)
    return payment


def _count(payment: Payment, fact: Fact) -> Payment:
    """What the gateway has told of holding and taking only grows."""
    amount = fact.amount or 0
    authorized, captured = payment.seen_authorized, payment.seen_captured
    if fact.event is Event.AUTHORIZED:
        authorized = max(authorized, amount)
    elif fact.event is Event.CAPTURED:
        captured = max(captured, amount)
    return replace(
        payment,
        seen_authorized=authorized,
        seen_captured=captured,
        refunds=note_refund(payment.refunds, fact),
        disputes=note_dispute(payment.disputes, fact),
    )


def _note_attempt(payment: Payment, fact: Fact) -> Payment:
    if not fact.attempt:
        return payment
    known = payment.attempts.get(fact.attempt, Attempt(fact.attempt))
    state = TRANSITIONS[known.state, fact.event].to[0]
    transaction_id = fact.reference if fact.event in NAMES_TRANSACTION else None
    noted = replace(
        known,
        state=State.CAPTURED if state in AFTER_CAPTURE else state,  # its money's way ends there
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
    event, flags = fact.event, payment.flags
    move = TRANSITIONS[payment.state, event]
    state = move.to[0]
    if move.contradicts:
        flags |= {"captured at the gateway although it was voided"}
    if state in BEFORE_MONEY and payment.attempt is not None:
        state = payment.attempt.state  # the latest attempt speaks for the payment
    elif state in AFTER_CAPTURE:
        state = _by_the_totals(payment)

    order_state = payment.order_state
    target = ORDER_STATE.get(event, order_state)
    if {target, order_state} == {OrderState.CANCELED, OrderState.FULFILLED}:
        flags |= {"fulfilled although it was canceled"}
    if _ORDER_RANK[target] > _ORDER_RANK[order_state]:
        order_state = target

    steps_done, steps_undone = payment.steps_done, payment.steps_undone
    if event is Event.STEP_DONE and fact.step is not None:
        brought = max(steps_done.get(fact.step, ""), fact.reference or "")
        steps_done = {**steps_done, fact.step: brought}
    elif event is Event.STEP_UNDONE and fact.step is not None:
        steps_undone |= {fact.step}
    elif event is Event.FLAGGED and fact.reason is not None:
        flags |= {fact.reason}

    transaction_ids = payment.transaction_ids
    if fact.reference is not None and event in NAMES_TRANSACTION:
        transaction_ids |= {fact.reference}

    return replace(
        payment,
        state=state,
        order_state=order_state,
        transaction_ids=transaction_ids,
        steps_done=steps_done,
        steps_undone=steps_undone,
        flags=flags,
        fees=_with_fee(payment, fact),
        acknowledged=payment.acknowledged.union(fact.acknowledged),
        confirmed=payment.confirmed or event is Event.CONFIRMED,
        capture_due=payment.capture_due or event is Event.CAPTURE_DUE,
        capture_before=min(
            filter(None, (payment.capture_before, fact.capture_before)), default=None
        ),
    )


def _with_fee(payment: Payment, fact: Fact) -> dict[str, Money]:
    if fact.event is not Event.FEE_CHARGED or fact.reference is None:
        return payment.fees
    charged = Money(fact.amount or 0, fact.currency or payment.amount.currency)
    known = payment.fees.get(fact.reference, charged)
    one_of_two = max(known, charged, key=lambda fee: (fee.currency, fee.minor))
    return {**payment.fees, fact.reference: one_of_two}


def _by_the_totals(payment: Payment) -> State:
    """Once money was captured: how much of it is left, and who has the rest."""
    if payment.under_dispute:
        return State.DISPUTED
    if any(d.state is DisputeState.LOST for d in payment.disputes.values()):
        return State.CHARGED_BACK
    if payment.refunded == 0:
        return State.CAPTURED
    whole = payment.refunded >= payment.captured
    return State.REFUNDED if whole else State.PARTIALLY_REFUNDED


NAMES_TRANSACTION = frozenset(
    {
        Event.ACTION_REQUIRED,
        Event.PROCESSING,
        Event.DECLINED,
        Event.AUTHORIZED,
        Event.CAPTURED,
        Event.VOIDED,
    }
)
