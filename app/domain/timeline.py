"""A fact as a sentence."""

from datetime import datetime

from app.domain.facts import Event, Fact
from app.domain.money import Money

_SOURCE = {"callback": "by the gateway's callback", "look_up": "by asking the gateway"}


def describe(fact: Fact, amount: Money) -> str:
    """What happened, in words. `amount` is the order's."""
    sum_ = amount.of(fact.amount) if fact.amount is not None else amount
    step = (fact.step or "").replace("_", " ")
    match fact.event:
        case Event.INITIATED:
            return f"checkout of {sum_} started"
        case Event.ATTEMPTED:
            return f"attempt {fact.attempt} with {fact.method or 'a payment method'}"
        case Event.OUTCOME_UNKNOWN:
            return "the gateway did not answer: it will be asked what became of it"
        case Event.ACTION_REQUIRED:
            return "the shopper must authenticate"
        case Event.PROCESSING:
            return "the bank is processing the payment"
        case Event.FAILED | Event.DECLINED:
            why = fact.decline.code if fact.decline is not None else "no reason given"
            return f"attempt {fact.attempt} {fact.event}: {why}; nothing was charged"
        case Event.EXPIRED:
            return "the checkout ran out of time"
        case Event.AUTHORIZED:
            return f"{sum_} is held on {fact.method or 'the payment method'}"
        case Event.CONFIRMED:
            return f"confirmed {_SOURCE.get(fact.source, fact.source)}"
        case Event.VOIDED:
            return "closed at the gateway: nothing is held"
        case Event.CAPTURED:
            return f"paid: {sum_} was captured"
        case Event.REFUNDED:
            return f"{sum_} was refunded"
        case Event.REFUND_PENDING:
            return f"a refund of {sum_} is on its way" + (f": {fact.reason}" if fact.reason else "")
        case Event.REFUND_FAILED:
            return f"the refund of {sum_} failed: {fact.reason or 'no reason given'}"
        case Event.DISPUTED:
            due = fact.evidence_due_by
            deadline = f"; evidence is due by {due:%Y-%m-%d %H:%M} UTC" if due else ""
            does = f"disputes {sum_}" if fact.amount != 0 else "inquires about the payment"
            return f"the shopper's bank {does}: {fact.reason or 'no reason given'}{deadline}"
        case Event.DISPUTE_WON:
            if fact.amount == 0:
                return "the bank's inquiry was closed"
            return f"the dispute over {sum_} was won"
        case Event.DISPUTE_LOST:
            return f"the dispute over {sum_} was lost"
        case Event.EVIDENCE_DUE:
            return f"evidence for dispute {fact.reference} is due soon: answer it at the gateway"
        case Event.CAPTURE_DUE:
            return f"the hold ends at {_time(fact.capture_before)}: capture or cancel"
        case Event.STEP_DONE:
            return f"{step}: {fact.reference or 'done'}"
        case Event.STEP_REFUSED:
            return f"{step} was refused: {fact.reason}"
        case Event.STEP_UNDONE:
            return f"{step} was undone"
        case Event.CANCEL_REQUESTED:
            return "the storefront asked to cancel" + (f": {fact.reason}" if fact.reason else "")
        case Event.CANCELED:
            return f"order canceled: {fact.reason or 'no payment came'}"
        case Event.FULFILLED:
            return "order fulfilled"
        case Event.FLAGGED:
            return f"needs attention: {fact.reason}"
        case Event.FEE_CHARGED:
            fee = Money(fact.amount or 0, fact.currency or amount.currency)
            return f"the gateway's fee: {fee}"
        case Event.RESOLVED:
            return f"decided by {fact.actor}: {fact.reason}"
        case Event.ACKNOWLEDGED:
            return f"looked at by {fact.actor}: {fact.reason}"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "a time that is not known"
