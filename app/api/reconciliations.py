"""For operators: what comparing our books with the gateway's found."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.api.access import KeyedRoute, WithParts
from app.domain.money import Money
from app.domain.reconciliation import Figure, Finding, Line, Report, Verdict
from app.domain.reconciliation import Kind as Thing

SHOWN = 20

router = APIRouter(prefix="/api", tags=["operators"], route_class=KeyedRoute)

_LATEST: dict[str, Any] = {
    "reconciliation_id": "01a206db-7d14-79d6-81df-3c8267d2200f",
    "since": "2030-01-02T00:00:00Z",
    "until": "2030-01-02T03:00:00Z",
    "started_at": "2030-01-02T03:05:00.123456Z",
    "finished_at": "2030-01-02T03:05:04.567891Z",
    "counts": [
        {"kind": "payment", "verdict": "differs", "count": 1},
        {"kind": "payment", "verdict": "matches", "count": 120},
    ],
    "sums": [
        {
            "figure": "captured",
            "currency": "usd",
            "here": "5998.80",
            "at_the_gateway": "5998.81",
            "difference": "0.01",
        }
    ],
    "differences": [
        {
            "kind": "payment",
            "reference": "pi_3QJ8",
            "order_id": "order-12345",
            "verdict": "differs",
            "what": "payment pi_3QJ8: captured 49.99 USD here, 50.00 USD at the gateway",
        }
    ],
}


class CountView(BaseModel):
    """How many things of a kind came to a verdict."""

    kind: Thing
    verdict: Verdict
    count: int


class SumView(BaseModel):
    """One figure on both sides, in major units of `currency`."""

    figure: Figure
    currency: str
    here: str
    at_the_gateway: str
    difference: str = Field(description="How much more the gateway has.")


class DifferenceView(BaseModel):
    """One thing that is not the same on both sides. `what` says it in words."""

    kind: Thing
    reference: str
    order_id: str | None
    verdict: Verdict
    what: str


class ReconciliationView(BaseModel):
    """The comparison of a period. The differences are the first 500; `counts` tell of all."""

    reconciliation_id: str
    since: datetime
    until: datetime = Field(description="Not included.")
    started_at: datetime
    finished_at: datetime | None = Field(description="Null while it is under way.")
    counts: list[CountView]
    sums: list[SumView]
    differences: list[DifferenceView]


class ReconciliationList(BaseModel):
    """The latest, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reconciliations": [_LATEST]}]})

    reconciliations: list[ReconciliationView]


@router.get(
    "/reconciliations",
    summary="Our books beside the gateway's",
)
async def reconciliations(parts: WithParts) -> ReconciliationList:
    """The latest twenty. `tillflow reconcile` compares any period."""
    found = await parts.reconciliations.latest(SHOWN)
    return ReconciliationList(reconciliations=[_view(report) for report in found])


def _view(report: Report) -> ReconciliationView:
    return ReconciliationView(
        reconciliation_id=report.reconciliation_id,
        since=report.period.since,
        until=report.period.until,
        started_at=report.started_at,
        finished_at=report.finished_at,
        counts=[CountView(kind=c.kind, verdict=c.verdict, count=c.count) for c in report.counts],
        sums=[_sum_view(line) for line in report.sums],
        differences=[_difference_view(finding) for finding in report.differences],
    )


def _sum_view(line: Line) -> SumView:
    return SumView(
        figure=line.figure,
        currency=line.currency,
        here=_major(line.ours, line.currency),
        at_the_gateway=_major(line.theirs, line.currency),
        difference=_major(line.difference, line.currency),
    )


def _major(minor: int, currency: str) -> str:
    amount: Decimal = Money(abs(minor), currency).to_decimal()
    return f"{-amount if minor < 0 else amount:f}"


def _difference_view(finding: Finding) -> DifferenceView:
    return DifferenceView(
        kind=finding.kind,
        reference=finding.reference,
        order_id=finding.order_id,
        verdict=finding.verdict,
        what=str(finding),
    )
