"""Money that goes back after it was captured: by refunds, and by disputes with a bank."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.facts import Event, Fact


class RefundState(StrEnum):
    """Where a refund stands. A later one replaces an earlier one, never the other way round."""

    PENDING = "pending"  # asked for, or on its way through the banks
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # it did not arrive, however late that is told: the money is ours again


class DisputeState(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"  # the bank may have taken the money back until it is decided
    WON = "won"  # the money is ours again
    LOST = "lost"


@dataclass(frozen=True)
class Refund:
    """One refund. `name` is ours where we asked for it, else the gateway's id."""

    name: str
    amount: int
    state: RefundState
    requested_at: datetime
    reference: str | None = None
    reason: str | None = None
    failure: str | None = None

    @property
    def holds_money(self) -> bool:
        """Whether its amount is gone or on its way."""
        return self.state is not RefundState.FAILED


@dataclass(frozen=True)
class Dispute:
    """One dispute, by the gateway's id. `evidence_due_by` is the bank's deadline."""

    dispute_id: str
    amount: int
    state: DisputeState
    reason: str | None = None
    evidence_due_by: datetime | None = None

    @property
    def holds_money(self) -> bool:
        """Whether the bank has its amount."""
        return self.state is not DisputeState.WON


_REFUND_STATE = {
    Event.REFUND_PENDING: RefundState.PENDING,
    Event.REFUNDED: RefundState.SUCCEEDED,
    Event.REFUND_FAILED: RefundState.FAILED,
}
_DISPUTE_STATE = {
    Event.DISPUTED: DisputeState.OPEN,
    Event.DISPUTE_WON: DisputeState.WON,
    Event.DISPUTE_LOST: DisputeState.LOST,
}
_REFUND_RANK = list(RefundState)
_DISPUTE_RANK = list(DisputeState)


def refund_name(order_id: str, key: str) -> str:
    """Our id of the refund that `key` asks for: the same however often it is asked."""
    return "ref_" + hashlib.sha256(f"tillflow refund {order_id} {key}".encode()).hexdigest()[:24]


def is_made_good(failed: Refund, refunds: Iterable[Refund]) -> bool:
    """Whether a later refund took the place of one that failed."""
    return any(
        other.holds_money
        and other.requested_at > failed.requested_at
        and other.amount >= failed.amount
        for other in refunds
    )


def note_refund(known: dict[str, Refund], fact: Fact) -> dict[str, Refund]:
    """`known` and what `fact` tells of a refund, if it tells of one."""
    state = _REFUND_STATE.get(fact.event)
    name = fact.refund or fact.reference
    if state is None or name is None:
        return known
    failed = state is RefundState.FAILED
    told = Refund(
        name,
        fact.amount or 0,
        state,
        fact.at,
        fact.reference,
        reason=None if failed else fact.reason,
        failure=fact.reason if failed else None,
    )
    before = known.get(name, told)
    furthest = max(before, told, key=lambda one: (_REFUND_RANK.index(one.state), one.amount))
    return {
        **known,
        name: Refund(
            name,
            furthest.amount,
            furthest.state,
            min(before.requested_at, told.requested_at),
            _either(before.reference, told.reference),
            _either(before.reason, told.reason),
            _either(before.failure, told.failure),
        ),
    }


def note_dispute(known: dict[str, Dispute], fact: Fact) -> dict[str, Dispute]:
    """`known` and what `fact` tells of a dispute, if it tells of one."""
    state = _DISPUTE_STATE.get(fact.event)
    if state is None or fact.reference is None:
        return known
    told = Dispute(fact.reference, fact.amount or 0, state, fact.reason, fact.evidence_due_by)
    before = known.get(fact.reference, told)
    furthest = max(before, told, key=lambda one: (_DISPUTE_RANK.index(one.state), one.amount))
    deadlines = [d for d in (before.evidence_due_by, told.evidence_due_by) if d is not None]
    return {
        **known,
        fact.reference: Dispute(
            fact.reference,
            furthest.amount,
            furthest.state,
            _either(before.reason, told.reason),
            max(deadlines, default=None),
        ),
    }


def _either(one: str | None, other: str | None) -> str | None:
    """The one that is there; of two, the same one whichever came first."""
    return max(filter(None, (one, other)), default=None)
