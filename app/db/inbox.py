"""The callback inbox: each callback once, until it is delivered."""

from pydantic import TypeAdapter
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import CallbackRow
from app.domain.gateway import GatewayEvent
from app.domain.records import ForeignCallback

_EVENT = TypeAdapter(GatewayEvent)


async def store(session: AsyncSession, event: GatewayEvent, *, foreign: bool) -> bool:
    """Put `event` in. False if it was there already."""
    new = await session.exec(
        insert(CallbackRow)
        .values(
            gateway=event.gateway,
            event_id=event.event_id,
            type=event.type,
            order_id=None if foreign else event.order_id,
            event=_EVENT.dump_python(event, mode="json"),
            created_at=event.created_at,
            delivered_at=func.now() if foreign else None,
            outcome="foreign" if foreign else None,
        )
        .on_conflict_do_nothing()
        .returning(col(CallbackRow.id))
    )
    return new.first() is not None


async def waiting(session: AsyncSession, limit: int) -> list[GatewayEvent]:
    """Not yet delivered, in the order in which the gateway created them."""
    rows = await session.exec(
        select(CallbackRow)
        .where(col(CallbackRow.delivered_at).is_(None))
        .order_by(col(CallbackRow.created_at), col(CallbackRow.id))
        .limit(limit)
    )
    return [_EVENT.validate_python(row.event) for row in rows]


async def delivered(session: AsyncSession, event: GatewayEvent, outcome: str) -> None:
    """Note what became of `event`, unless that is noted already."""
    await session.exec(
        update(CallbackRow)
        .where(
            col(CallbackRow.gateway) == event.gateway,
            col(CallbackRow.event_id) == event.event_id,
            col(CallbackRow.delivered_at).is_(None),
        )
        .values(delivered_at=func.now(), outcome=outcome)
    )


async def foreign(session: AsyncSession, limit: int) -> list[ForeignCallback]:
    """Of no order of ours, the newest first."""
    rows = await session.exec(
        select(CallbackRow)
        .where(col(CallbackRow.order_id).is_(None))
        .order_by(col(CallbackRow.id).desc())
        .limit(limit)
    )
    return [ForeignCallback(_EVENT.validate_python(row.event), row.received_at) for row in rows]
