"""Facts: what happened to a payment, kept for ever and in the order we learnt it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Event(StrEnum):
    """What may happen to a payment and its order."""

    INITIATED = "initiated"
    ATTEMPTED = "attempted"
    OUTCOME_UNKNOWN = "outcome_unknown"
    ACTION_REQUIRED = "action_required"
    PROCESSING = "processing"
    FAILED = "failed"
    DECLINED = "declined"
    EXPIRED = "expired"
    AUTHORIZED = "authorized"
    CONFIRMED = "confirmed"
    VOIDED = "voided"
    CAPTURED = "captured"
    REFUND_PENDING = "refund_pending"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    FEE_CHARGED = "fee_charged"
    EVIDENCE_DUE = "evidence_due"
    CAPTURE_DUE = "capture_due"
    STEP_DONE = "step_done"
    STEP_REFUSED = "step_refused"
    STEP_UNDONE = "step_undone"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELED = "canceled"
    FULFILLED = "fulfilled"
    FLAGGED = "flagged"
    RESOLVED = "resolved"
    ACKNOWLEDGED = "acknowledged"


class Source(StrEnum):
    """Where a fact was learnt."""

    API = "api"
    GATEWAY = "gateway"  # its answer to our request
    CALLBACK = "callback"
    LOOK_UP = "look_up"
    WORKFLOW = "workflow"
    FULFILMENT = "fulfilment"
    OPERATOR = "operator"
    RECONCILIATION = "reconciliation"


@dataclass(frozen=True)
class PaymentMethod:
    """What may be shown of how the shopper pays. Brand and last four: PCI DSS 3.4.1.

    `fingerprint` is the gateway's own: the same for the same card, and not made from its number.
    """

    type: str
    brand: str | None = None
    last4: str | None = None
    fingerprint: str | None = None

    def __str__(self) -> str:
        words = [self.brand or self.type.replace("_", " ")]
        return " ".join([*words, "ending", self.last4] if self.last4 else words)


@dataclass(frozen=True)
class NextAction:
    """What the storefront must have the shopper do: visit `url`, or hand `client_secret` to the
    gateway's own script."""

    type: str
    url: str | None = None
    client_secret: str | None = None


@dataclass(frozen=True)
class Decline:
    """Why an attempt brought no money. `message` is fit for a shopper."""

    code: str
    message: str
    retryable: bool = True


@dataclass(frozen=True)
class Fact:
    """One thing that happened to a payment. `amount` is a total in minor units, except for a
    refund, a dispute or a fee: that one's own. `currency` is None where it is the order's.
    `reference` is the gateway's or the step's own id, `refund` our name of a refund. `actor` is the
    operator who decided it, `acknowledged` the worries that they have looked at."""

    event: Event
    at: datetime
    source: Source
    attempt: int = 0
    amount: int | None = None
    reference: str | None = None
    method: PaymentMethod | None = None
    next_action: NextAction | None = None
    decline: Decline | None = None
    capture_before: datetime | None = None
    idempotency_key: str | None = None
    step: str | None = None
    reason: str | None = None
    refund: str | None = None
    evidence_due_by: datetime | None = None
    currency: str | None = None
    actor: str | None = None
    acknowledged: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Names the fact within its order: learning it twice leaves one."""
        if self.event in ATTEMPT_EVENTS:
            return f"{self.event}:{self.attempt}"
        if self.event is Event.AUTHORIZED:
            # A callback tells neither when the hold ends nor on what it is.
            told = (self.reference, self.amount, _time(self.capture_before), self.method)
            return ":".join(map(str, (self.event, *told)))
        if self.event is Event.CAPTURED:
            return f"{self.event}:{self.reference}:{self.amount}"
        if self.event is Event.DISPUTED:
            # A bank's inquiry may turn into a dispute, and its deadline may move.
            return f"{self.event}:{self.reference}:{self.amount}:{_time(self.evidence_due_by)}"
        if self.event is Event.RESOLVED:
            # Each decision is one of its own.
            return f"{self.event}:{_time(self.at)}"
        if self.event is Event.ACKNOWLEDGED:
            # They may be many and long, and a key must fit into an index.
            worries = "\n".join(sorted(self.acknowledged))
            return f"{self.event}:{hashlib.sha256(worries.encode()).hexdigest()}"
        if self.event is Event.FLAGGED:
            return f"{self.event}:{self.reason}"
        if self.event is Event.REFUND_PENDING:
            # The gateway's id comes later than the request.
            return f"{self.event}:{self.refund}:{self.reference}"
        parts = (self.event, self.step or self.refund or self.reference or self.reason or "")
        return ":".join(part for part in parts if part)


# News of these concerns one attempt; news of an earlier attempt than the latest is history only.
ATTEMPT_EVENTS = frozenset(
    {
        Event.ATTEMPTED,
        Event.OUTCOME_UNKNOWN,
        Event.ACTION_REQUIRED,
        Event.PROCESSING,
        Event.FAILED,
        Event.DECLINED,
    }
)


def _time(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not None else ""
