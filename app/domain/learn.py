"""From what a gateway says of a payment to the facts that follow. The only such translation."""

from datetime import datetime

from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayPayment, Status

_EVENT = {
    Status.REQUIRES_ACTION: Event.ACTION_REQUIRED,
    Status.PROCESSING: Event.PROCESSING,
    Status.DECLINED: Event.DECLINED,
    Status.VOIDED: Event.VOIDED,
}


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
    return facts
