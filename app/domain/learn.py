"""From what a gateway says to the facts that follow. The only such translation."""

from datetime import datetime

from app.domain.facts import Event, Fact, Source
from app.domain.gateway import (
    Fee,
    GatewayDispute,
    GatewayEvent,
    GatewayPayment,
    GatewayRefund,
    Status,
)
from app.domain.reversals import DisputeState, RefundState

_EVENT = {
    Status.REQUIRES_ACTION: Event.ACTION_REQUIRED,
    Status.PROCESSING: Event.PROCESSING,
    Status.DECLINED: Event.DECLINED,
    Status.VOIDED: Event.VOIDED,
}
_REFUND_EVENT = {
    RefundState.PENDING: Event.REFUND_PENDING,
    RefundState.SUCCEEDED: Event.REFUNDED,
    RefundState.FAILED: Event.REFUND_FAILED,
}
_DISPUTE_EVENT = {
    DisputeState.OPEN: Event.DISPUTED,
    DisputeState.WON: Event.DISPUTE_WON,
    DisputeState.LOST: Event.DISPUTE_LOST,
}


RECONCILED = "reconciliation"
"""The type of an event that the gateway never reported: what a comparison with its books found."""


def learn(seen: GatewayPayment, *, source: Source, at: datetime, attempt: int) -> list[Fact]:
    """The facts in `seen`. `attempt` is the try that it answers."""
    facts: list[Fact] = []
    if seen.status in _EVENT:
        facts.append(
            Fact(
                _EVENT[seen.status],
                at,
                source,
                attempt=attempt,
                reference=seen.transaction_id,
                method=seen.method,
                decline=seen.decline,
                next_action=seen.next_action,
            )
        )
    if seen.authorized and seen.status in (Status.AUTHORIZED, Status.CAPTURED):
        facts.append(
            Fact(
                Event.AUTHORIZED,
                at,
                source,
                attempt=attempt,
                amount=seen.authorized,
                reference=seen.transaction_id,
                method=seen.method,
                capture_before=seen.capture_before,
            )
        )
    if seen.captured:
        facts.append(
            Fact(Event.CAPTURED, at, source, amount=seen.captured, reference=seen.transaction_id)
        )
    if seen.fee is not None:
        facts.append(_learn_fee(seen.fee, source=source, at=at))
    return facts


def learn_refund(seen: GatewayRefund, *, source: Source, at: datetime) -> Fact:
    """The fact in `seen`."""
    return Fact(
        _REFUND_EVENT[seen.state],
        at,
        source,
        amount=seen.amount.minor,
        reference=seen.refund_id,
        refund=seen.name or seen.refund_id,
        reason=seen.failure,
    )


def learn_dispute(
    seen: GatewayDispute, *, source: Source, at: datetime, currency: str
) -> list[Fact]:
    """The facts in `seen`. Over another currency than the order's it counts for no money: its
    amount is told in words."""
    ours = seen.amount.currency == currency
    reason = seen.reason if ours else f"{seen.reason or 'no reason given'}, over {seen.amount}"
    dispute = Fact(
        _DISPUTE_EVENT[seen.state],
        at,
        source,
        amount=seen.amount.minor if ours else 0,
        reference=seen.dispute_id,
        reason=reason,
        evidence_due_by=seen.evidence_due_by,
    )
    return [dispute, *(_learn_fee(fee, source=source, at=at) for fee in seen.fees)]


def learn_event(event: GatewayEvent, *, at: datetime, attempt: int, currency: str) -> list[Fact]:
    """The facts in a callback about an order in `currency`. None in a hint."""
    source = Source.RECONCILIATION if event.type == RECONCILED else Source.CALLBACK
    if event.refund is not None and event.refund.amount.currency != currency:
        reason = f"refund {event.refund.refund_id} is over {event.refund.amount}"
        return [Fact(Event.FLAGGED, at, source, reason=reason)]
    if event.refund is not None:
        return [learn_refund(event.refund, source=source, at=at)]
    if event.dispute is not None:
        return learn_dispute(event.dispute, source=source, at=at, currency=currency)
    if event.payment is not None:
        return learn(event.payment, source=source, at=at, attempt=attempt)
    return []


def _learn_fee(fee: Fee, *, source: Source, at: datetime) -> Fact:
    return Fact(
        Event.FEE_CHARGED,
        at,
        source,
        amount=fee.amount.minor,
        reference=fee.reference,
        currency=fee.amount.currency,
    )
