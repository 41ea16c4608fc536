"""The `Reconciliations` port on PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import case, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.engine import transaction
from app.db.tables import FindingRow, ReconciliationRow
from app.domain.facts import Event
from app.domain.gateway import Period
from app.domain.payment import NAMES_TRANSACTION
from app.domain.reconciliation import (
    DIFFERENCES,
    UNSETTLED,
    Amount,
    Count,
    Figure,
    Figures,
    Finding,
    Kind,
    Line,
    Ours,
    Report,
    Verdict,
    lines,
)

DIFFERENCES_SHOWN = 500
# What reads a whole period may take longer than what serves a storefront.
_WHOLE_PERIOD_SECONDS = 300
# Whoever starts a reconciliation has it ended after a day.
_SURELY_ENDED_AFTER = timedelta(days=2)

_FIGURES = TypeAdapter(Figures)
_COUNTS = TypeAdapter(list[Count])
_SUMS = TypeAdapter(list[Line])
_MENDABLE = (Verdict.DIFFERS, Verdict.MISSING_HERE, Verdict.MISSING_THERE, Verdict.MENDED)
_REFUNDS = (Event.REFUND_PENDING, Event.REFUNDED, Event.REFUND_FAILED)
_DISPUTES = (Event.DISPUTED, Event.DISPUTE_WON, Event.DISPUTE_LOST)

_run, _verdict = col(FindingRow.reconciliation_id), col(FindingRow.verdict)

# What the facts of the period are about, but for what was compared. A refund goes by the gateway's
# id, or by our name until the gateway has answered.
_UNSEEN = text(
    """
    WITH told AS (
        SELECT order_id, fact ->> 'reference' AS reference, fact ->> 'refund' AS refund,
            CASE WHEN event = ANY(:payments) THEN 'payment'
                 WHEN event = ANY(:refunds) THEN 'refund'
                 WHEN event = ANY(:disputes) THEN 'dispute' END AS kind
        FROM payment_events, reconciliations
        WHERE reconciliation_id = :run AND recorded_at >= since AND recorded_at < until
    ), ours AS (
        SELECT order_id, kind, coalesce(max(reference), refund) AS reference,
            kind || ' ' || coalesce(max(reference), refund) AS place
        FROM told WHERE kind IS NOT NULL AND coalesce(refund, reference) IS NOT NULL
        GROUP BY order_id, kind, refund, coalesce(refund, reference)
    )
    SELECT kind, reference, order_id FROM ours
    WHERE place COLLATE "C" > :after AND NOT EXISTS (
        SELECT FROM reconciliation_findings AS known
        WHERE reconciliation_id = :run
            AND known.kind = ours.kind AND known.reference = ours.reference
    )
    ORDER BY place COLLATE "C" LIMIT :limit
    """
)
# Money that is not ours is in no sum.
_SUMS_OF = """
    SELECT amount ->> 'figure', amount ->> 'currency', sum((amount ->> 'minor')::bigint)::bigint
    FROM reconciliation_findings, jsonb_array_elements({side}) AS amount
    WHERE reconciliation_id = :run AND verdict <> 'foreign'
    GROUP BY 1, 2
"""
_OURS, _THEIRS = (text(_SUMS_OF.format(side=side)) for side in ("ours", "theirs"))


class PostgresReconciliations:
    """Every method raises RecordsUnavailableError when the database cannot be reached."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, reconciliation_id: str, period: Period) -> None:
        died = select(ReconciliationRow.reconciliation_id).where(
            col(ReconciliationRow.finished_at).is_(None),
            col(ReconciliationRow.started_at) < func.now() - _SURELY_ENDED_AFTER,
        )
        async with transaction(self._engine, seconds=_WHOLE_PERIOD_SECONDS) as session:
            await session.exec(delete(FindingRow).where(_run.in_(died)))
            await session.exec(
                insert(ReconciliationRow)
                .values(reconciliation_id=reconciliation_id, since=period.since, until=period.until)
                .on_conflict_do_nothing()
            )

    async def keep(self, reconciliation_id: str, findings: Sequence[Finding]) -> None:
        latest = {(finding.kind, finding.reference): finding for finding in findings}
        if not latest:
            return
        new = insert(FindingRow).values([_values(reconciliation_id, f) for f in latest.values()])
        told = new.excluded
        mended = (told.verdict == Verdict.MATCHES) & _verdict.in_(_MENDABLE)
        async with transaction(self._engine) as session:
            await session.exec(
                new.on_conflict_do_update(
                    index_elements=["reconciliation_id", "kind", "reference"],
                    set_={
                        "verdict": case((mended, Verdict.MENDED.value), else_=told.verdict),
                        "order_id": told.order_id,
                        "transaction_id": told.transaction_id,
                        "ours": told.ours,
                        "theirs": told.theirs,
                    },
                )
            )

    async def unseen(self, reconciliation_id: str, after: str, limit: int) -> list[Ours]:
        async with transaction(self._engine, seconds=_WHOLE_PERIOD_SECONDS) as session:
            connection = await session.connection()
            rows = await connection.execute(
                _UNSEEN,
                {
                    "run": reconciliation_id,
                    "payments": [event.value for event in NAMES_TRANSACTION],
                    "refunds": [event.value for event in _REFUNDS],
                    "disputes": [event.value for event in _DISPUTES],
                    "after": after,
                    "limit": limit,
                },
            )
            return [Ours(Kind(kind), reference, order_id) for kind, reference, order_id in rows]

    async def unsettled(
        self, reconciliation_id: str, after: int, limit: int
    ) -> list[tuple[int, Finding]]:
        return await self._read(reconciliation_id, UNSETTLED, after, limit)

    async def differences(
        self, reconciliation_id: str, after: int, limit: int
    ) -> list[tuple[int, Finding]]:
        return await self._read(reconciliation_id, DIFFERENCES, after, limit)

    async def finish(self, reconciliation_id: str) -> None:
        async with transaction(self._engine, seconds=_WHOLE_PERIOD_SECONDS) as session:
            run = await session.get_one(ReconciliationRow, reconciliation_id, with_for_update=True)
            if run.finished_at is not None:
                return
            run.counts = _COUNTS.dump_python(await _counts(session, reconciliation_id), mode="json")
            run.sums = _SUMS.dump_python(await _sums(session, reconciliation_id), mode="json")
            [run.finished_at] = await session.exec(select(func.now()))
            counted = _verdict.in_([Verdict.MATCHES, Verdict.FOREIGN])
            await session.exec(delete(FindingRow).where(_run == reconciliation_id, counted))

    async def find(self, reconciliation_id: str) -> Report | None:
        async with transaction(self._engine) as session:
            row = await session.get(ReconciliationRow, reconciliation_id)
            return await _report(session, row) if row is not None else None

    async def latest(self, limit: int) -> list[Report]:
        async with transaction(self._engine) as session:
            rows = await session.exec(
                select(ReconciliationRow)
                .order_by(col(ReconciliationRow.started_at).desc())
                .limit(limit)
            )
            return [await _report(session, row) for row in rows]

    async def _read(
        self, reconciliation_id: str, verdicts: Collection[Verdict], after: int, limit: int
    ) -> list[tuple[int, Finding]]:
        async with transaction(self._engine) as session:
            return await _findings(session, reconciliation_id, verdicts, after, limit)


async def _counts(session: AsyncSession, reconciliation_id: str) -> list[Count]:
    rows = await session.exec(
        select(FindingRow.kind, FindingRow.verdict, func.count())
        .where(_run == reconciliation_id)
        .group_by(col(FindingRow.kind), _verdict)
        .order_by(col(FindingRow.kind), _verdict)
    )
    return [Count(Kind(kind), Verdict(verdict), count) for kind, verdict, count in rows]


async def _sums(session: AsyncSession, reconciliation_id: str) -> list[Line]:
    connection = await session.connection()
    ours, theirs = [
        [
            Amount(Figure(figure), currency, minor)
            for figure, currency, minor in await connection.execute(
                side, {"run": reconciliation_id}
            )
        ]
        for side in (_OURS, _THEIRS)
    ]
    return lines(ours, theirs)


async def _findings(
    session: AsyncSession,
    reconciliation_id: str,
    verdicts: Collection[Verdict],
    after: int,
    limit: int,
) -> list[tuple[int, Finding]]:
    rows = await session.exec(
        select(FindingRow)
        .where(_run == reconciliation_id, _verdict.in_(verdicts), col(FindingRow.id) > after)
        .order_by(col(FindingRow.id))
        .limit(limit)
    )
    return [(row.id or 0, _finding(row)) for row in rows]


async def _report(session: AsyncSession, row: ReconciliationRow) -> Report:
    run = row.reconciliation_id
    found = await _findings(session, run, DIFFERENCES, 0, DIFFERENCES_SHOWN)
    return Report(
        reconciliation_id=run,
        period=Period(row.since, row.until),
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=_COUNTS.validate_python(row.counts),
        sums=_SUMS.validate_python(row.sums),
        differences=[finding for _, finding in found],
    )


def _values(reconciliation_id: str, finding: Finding) -> dict[str, Any]:
    return {
        "reconciliation_id": reconciliation_id,
        "kind": finding.kind,
        "reference": finding.reference,
        "verdict": finding.verdict,
        "order_id": finding.order_id,
        "transaction_id": finding.transaction_id,
        "ours": _FIGURES.dump_python(finding.ours, mode="json"),
        "theirs": _FIGURES.dump_python(finding.theirs, mode="json"),
    }


def _finding(row: FindingRow) -> Finding:
    return Finding(
        kind=Kind(row.kind),
        reference=row.reference,
        verdict=Verdict(row.verdict),
        order_id=row.order_id,
        transaction_id=row.transaction_id,
        ours=_FIGURES.validate_python(row.ours),
        theirs=_FIGURES.validate_python(row.theirs),
    )
