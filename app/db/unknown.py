"""Outcomes that are not known (yet): a row each, for as long as they are not."""

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import UnknownOutcomeRow
from app.domain.unknown import Operation, UnknownOutcome


async def note(session: AsyncSession, order_id: str, outcome: UnknownOutcome) -> None:
    """Keep `outcome` as it stands; or, known by now, no longer."""
    if outcome.next_check_at is None:
        await session.exec(
            delete(UnknownOutcomeRow).where(
                col(UnknownOutcomeRow.order_id) == order_id,
                col(UnknownOutcomeRow.operation) == outcome.operation,
                col(UnknownOutcomeRow.refund) == outcome.refund,
            )
        )
        return
    times = {"since": outcome.since, "next_check_at": outcome.next_check_at}
    await session.exec(
        insert(UnknownOutcomeRow)
        .values(order_id=order_id, operation=outcome.operation, refund=outcome.refund, **times)
        .on_conflict_do_update(index_elements=["order_id", "operation", "refund"], set_=times)
    )


async def find(session: AsyncSession, order_id: str) -> list[UnknownOutcome]:
    """The order's, the oldest first."""
    rows = await session.exec(
        select(UnknownOutcomeRow)
        .where(UnknownOutcomeRow.order_id == order_id)
        .order_by(col(UnknownOutcomeRow.since), col(UnknownOutcomeRow.refund))
    )
    return [
        UnknownOutcome(Operation(row.operation), row.since, row.next_check_at, row.refund)
        for row in rows
    ]
