"""Reconciliation: what the gateway has of a payment, a refund, a dispute or a fee, beside what we
have of it.

Both sides are reduced to the same figures, so that comparing them is one rule for everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from app.domain.gateway import (
    GatewayDispute,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    Period,
    Status,
)
from app.domain.money import Money, shown
from app.domain.payment import BEFORE_MONEY, OrderState, Payment, State
from app.domain.reversals import Dispute, DisputeState, Refund, RefundState

# A checkout ends half an hour after it began; what is open longer is worth a look.
CHECKOUT_TAKES = timedelta(hours=1)


class Kind(StrEnum):
    """What is compared."""

    EVENT = "event"
    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    FEE = "fee"


class Verdict(StrEnum):
    """What a comparison comes to."""

    MATCHES = "matches"
    MENDED = "mended"  # it differed, and matches since the news that we had missed was passed on
    OPEN = "open"  # it differs, and our side has still to finish
    FOREIGN = "foreign"  # of no order of ours
    DIFFERS = "differs"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    UNREADABLE = "unreadable"


DIFFERENCES = frozenset(
    {Verdict.DIFFERS, Verdict.MISSING_HERE, Verdict.MISSING_THERE, Verdict.UNREADABLE}
)
UNSETTLED = frozenset({Verdict.DIFFERS, Verdict.MISSING_HERE, Verdict.MISSING_THERE, Verdict.OPEN})
"""What is worth a second look: news of it may be on its way."""


class Figure(StrEnum):
    """What a sum of money is. The name is the word for people, too."""

    HELD = "held"
    CAPTURED = "captured"
    ON_ITS_WAY_BACK = "on its way back"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged back"
    FEES = "fees"


@dataclass(frozen=True)
class Amount:
    """So many minor units of `currency`. Below zero where the gateway gave a fee back."""

    figure: Figure
    currency: str
    minor: int


Figures = tuple[Amount, ...]


def figures(*amounts: Amount) -> Figures:
    """One amount for each figure and currency, in order; none that is zero."""
    sums: dict[tuple[Figure, str], int] = defaultdict(int)
    for amount in amounts:
        sums[amount.figure, amount.currency] += amount.minor
    return tuple(Amount(*key, sums[key]) for key in sorted(sums) if sums[key])


@dataclass(frozen=True)
class Line:
    """One figure on both sides, in minor units of `currency`."""

    figure: Figure
    currency: str
    ours: int
    theirs: int

    @property
    def difference(self) -> int:
        """How much more the gateway has."""
        return self.theirs - self.ours

    def __str__(self) -> str:
        ours, theirs = shown(self.ours, self.currency), shown(self.theirs, self.currency)
        return f"{self.figure} {ours} here, {theirs} at the gateway"


def lines(ours: Iterable[Amount], theirs: Iterable[Amount]) -> list[Line]:
    """Every figure that either side has, beside the other's."""
    here = {(a.figure, a.currency): a.minor for a in figures(*ours)}
    there = {(a.figure, a.currency): a.minor for a in figures(*theirs)}
    return [Line(*key, here.get(key, 0), there.get(key, 0)) for key in sorted({*here, *there})]


# What the gateway has.


def payment_there(seen: GatewayPayment) -> Figures:
    """What is held now, and what was taken."""
    held = seen.authorized if seen.status is Status.AUTHORIZED else 0
    return _of_payment(held, seen.captured, seen.amount.currency)


def refund_there(seen: GatewayRefund) -> Figures:
    """What is gone, or on its way."""
    return _of_refund(seen.state, seen.amount)


def dispute_there(seen: GatewayDispute) -> Figures:
    """What the bank has taken, for now or for good."""
    return _of_dispute(seen.state, seen.amount)


def fee_there(seen: GatewayMovement) -> Figures:
    """What the gateway took for its work."""
    return figures(Amount(Figure.FEES, seen.currency, seen.fee))


# What we have: None where we do not know the thing at all.


def payment_here(payment: Payment, transaction_id: str) -> Figures | None:
    """An order's money is in the one payment that brought it. Any other holds and took nothing, as
    far as we know."""
    if transaction_id not in payment.transaction_ids:
        return None
    if transaction_id != payment.transaction_id:
        return ()
    held = payment.authorized if payment.state is State.AUTHORIZED else 0
    return _of_payment(held, payment.captured, payment.amount.currency)


def refund_here(payment: Payment, refund_id: str, name: str | None) -> Figures | None:
    """By the gateway's id. By our name as long as we know no id of it: of two refunds of one name,
    one is too many."""
    refund = _refund(payment, refund_id, name)
    return _of_refund(refund.state, payment.amount.of(refund.amount)) if refund else None


def dispute_here(payment: Payment, dispute_id: str) -> Figures | None:
    """By the gateway's id."""
    dispute: Dispute | None = payment.disputes.get(dispute_id)
    return _of_dispute(dispute.state, payment.amount.of(dispute.amount)) if dispute else None


def fee_here(payment: Payment, movement_id: str) -> Figures | None:
    """By the gateway's id of the movement."""
    fee = payment.fees.get(movement_id)
    return figures(Amount(Figure.FEES, fee.currency, fee.minor)) if fee is not None else None


def is_under_way(payment: Payment, since: datetime, now: datetime) -> bool:
    """Whether a checkout that began at `since` has still to come to an end by itself."""
    undecided = payment.order_state is OrderState.OPEN and payment.state in BEFORE_MONEY
    return undecided and now - since < CHECKOUT_TAKES


def verdict(
    kind: Kind, ours: Figures | None, theirs: Figures | None, *, under_way: bool = False
) -> Verdict:
    """What comparing the two comes to. None: that side does not know it."""
    if theirs == ours:
        return Verdict.MATCHES
    if kind is Kind.PAYMENT and ours is None and theirs == ():
        return Verdict.MATCHES  # a try that brought no money
    if theirs is None and ours == ():
        return Verdict.MATCHES  # one that was refused
    if under_way:
        return Verdict.OPEN
    if ours is None:
        return Verdict.MISSING_HERE
    return Verdict.MISSING_THERE if theirs is None else Verdict.DIFFERS


@dataclass(frozen=True)
class Finding:
    """What comparing one thing came to. `reference` is the gateway's id of it; our name of a refund
    that the gateway has not answered for."""

    kind: Kind
    reference: str
    verdict: Verdict
    order_id: str | None = None
    transaction_id: str | None = None
    ours: Figures = ()
    theirs: Figures = ()

    def __str__(self) -> str:
        """In words that stay the same as long as the figures do."""
        thing = f"{self.kind} {self.reference}"
        if self.verdict is Verdict.UNREADABLE:
            return f"{thing} cannot be read"
        told = [str(line) for line in lines(self.ours, self.theirs) if line.difference]
        if self.verdict is Verdict.MISSING_HERE:
            thing += " is not known here"
        elif self.verdict is Verdict.MISSING_THERE:
            thing += " is not known at the gateway"
        return ": ".join([thing, "; ".join(told)] if told else [thing])


@dataclass(frozen=True)
class Ours:
    """Something of ours to ask the gateway for, by its id; by our name where it gave none yet."""

    kind: Kind
    reference: str
    order_id: str

    @property
    def place(self) -> str:
        """Where it stands among the others."""
        return f"{self.kind} {self.reference}"


@dataclass(frozen=True)
class Count:
    """How many things of a kind came to a verdict."""

    kind: Kind
    verdict: Verdict
    count: int


@dataclass(frozen=True)
class Report:
    """What a reconciliation found. The sums are of everything of ours that was compared;
    `differences` are the first of them, `counts` tell of how many."""

    reconciliation_id: str
    period: Period
    started_at: datetime
    finished_at: datetime | None = None
    counts: list[Count] = field(default_factory=list)
    sums: list[Line] = field(default_factory=list)
    differences: list[Finding] = field(default_factory=list)

    def counted(self, *verdicts: Verdict, kind: Kind | None = None) -> int:
        """How many things came to one of these verdicts."""
        return sum(c.count for c in self.counts if c.verdict in verdicts and kind in (None, c.kind))

    @property
    def difference_count(self) -> int:
        """How many things somebody should look at."""
        return self.counted(*DIFFERENCES)


class Reconciliations(Protocol):
    """Where findings are kept. Each method is one transaction, and may be repeated; each raises
    RecordsUnavailableError when it cannot be."""

    async def begin(self, reconciliation_id: str, period: Period) -> None:
        """Note that it begins, and forget the findings of one that died days ago."""

    async def keep(self, reconciliation_id: str, findings: Sequence[Finding]) -> None:
        """Keep the latest finding of each thing. What differed and now matches is mended."""

    async def unseen(self, reconciliation_id: str, after: str, limit: int) -> list[Ours]:
        """Of what we learnt in the period, at most `limit` that were not compared yet, from behind
        the place `after` on."""

    async def unsettled(
        self, reconciliation_id: str, after: int, limit: int
    ) -> list[tuple[int, Finding]]:
        """At most `limit` findings that may yet change, each with its place, from behind `after`
        on."""

    async def differences(
        self, reconciliation_id: str, after: int, limit: int
    ) -> list[tuple[int, Finding]]:
        """The same of those that somebody should look at."""

    async def finish(self, reconciliation_id: str) -> None:
        """Add everything up. What matches is counted and forgotten."""

    async def find(self, reconciliation_id: str) -> Report | None:
        """The report, or None."""

    async def latest(self, limit: int) -> list[Report]:
        """The latest reports, the newest first."""


def _of_payment(held: int, captured: int, currency: str) -> Figures:
    return figures(Amount(Figure.HELD, currency, held), Amount(Figure.CAPTURED, currency, captured))


def _of_refund(state: RefundState, amount: Money) -> Figures:
    if state is RefundState.FAILED:
        return ()
    pending = state is RefundState.PENDING
    figure = Figure.ON_ITS_WAY_BACK if pending else Figure.REFUNDED
    return figures(Amount(figure, amount.currency, amount.minor))


def _of_dispute(state: DisputeState, amount: Money) -> Figures:
    if state is DisputeState.WON:
        return ()
    figure = Figure.DISPUTED if state is DisputeState.OPEN else Figure.CHARGED_BACK
    return figures(Amount(figure, amount.currency, amount.minor))


def _refund(payment: Payment, refund_id: str, name: str | None) -> Refund | None:
    by_id = {refund.reference or refund.name: refund for refund in payment.refunds.values()}
    return by_id.get(refund_id) or by_id.get(name or "")
