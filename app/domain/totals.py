"""How much of an order's money was taken, and where it is now."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.reversals import Dispute, Refund, RefundState


@dataclass(frozen=True)
class Totals:
    """In minor units. At every moment captured >= refunded + refunds_pending + disputed. `excess`
    is what went back beyond what was captured: a loss, and never money to give back."""

    captured: int
    refunded: int
    refunds_pending: int
    disputed: int
    excess: int

    @property
    def left(self) -> int:
        """What is still ours."""
        return self.captured - self.refunded - self.refunds_pending - self.disputed


def totals(seen_captured: int, refunds: Iterable[Refund], disputes: Iterable[Dispute]) -> Totals:
    """What follows from the capture that the gateway told of, and from what went back. A refund or
    a dispute proves a capture of which we have not heard, and says nothing of one that we have."""
    refunds, disputes = list(refunds), list(disputes)
    succeeded = sum(r.amount for r in refunds if r.state is RefundState.SUCCEEDED)
    pending = sum(r.amount for r in refunds if r.state is RefundState.PENDING)
    with_banks = sum(d.amount for d in disputes if d.holds_money)
    gone = succeeded + pending + with_banks
    proven = max([gone, *(r.amount for r in refunds), *(d.amount for d in disputes)])
    captured = seen_captured or proven
    refunded = min(succeeded, captured)
    refunds_pending = min(pending, captured - refunded)
    disputed = min(with_banks, captured - refunded - refunds_pending)
    return Totals(
        captured, refunded, refunds_pending, disputed, gone - refunded - refunds_pending - disputed
    )
