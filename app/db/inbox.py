"""The callback inbox: each callback once, until it is delivered."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, func, literal
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import col, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import (
    CallbackRow,
    OrderRow,
    PaymentEventRow,
    fact_reference,
    names_transaction,
)
from app.domain.gateway import GatewayEvent
from app.domain.records import ForeignCallback, TakenCallback, WaitingCallback

# What is refused is tried again after half a minute, then twice as long each time, up to an hour.
_FIRST_PAUSE_SECONDS = 30
_DOUBLINGS = 7

_EVENT = TypeAdapter(GatewayEvent)
# It opens the payment at the gateway, and nobody takes it from here: such news is looked up.
_LEFT_OUT: dict[str, set[str]] = {"payment": {"next_action"}}


async def take(session: AsyncSession, event: GatewayEvent) -> TakenCallback:
    """Put `event` in, if it is about an order of ours. One statement, which is all that a repeated
    callback costs."""
    ours = select(OrderRow.order_id).where(OrderRow.order_id == _whose(event)).cte("ours")
    values = _values(event)
    stored = (
        insert(CallbackRow)
        .from_select(
            ["order_id", *values],
            select(ours.c.order_id, *(_typed(name, value) for name, value in values.items())),
        )
        .on_conflict_do_nothing()
        .returning(col(CallbackRow.id))
        .cte("stored")
    )
    found = await session.exec(
        select(select(ours.c.order_id).scalar_subquery(), select(stored.c.id).scalar_subquery())
    )
    order_id, stored_id = found.one()
    return TakenCallback(order_id, stored_id is not None)


async def keep_foreign(session: AsyncSession, event: GatewayEvent) -> bool:
    """Put `event` in as one that waits for nothing. False if it was there already."""
    new = await session.exec(
        insert(CallbackRow)
        .values(**_values(event), delivered_at=func.now(), outcome="foreign")
        .on_conflict_do_nothing()
        .returning(col(CallbackRow.id))
    )
    return new.first() is not None


async def orders_called_back(session: AsyncSession, after: str, limit: int) -> list[str]:
    """Orders for which something is to be delivered now."""
    rows = await session.exec(
        select(CallbackRow.order_id)
        .distinct()
        .where(_to_deliver(), col(CallbackRow.order_id) > after)
        .order_by(col(CallbackRow.order_id))
        .limit(limit)
    )
    return [order_id for order_id in rows if order_id is not None]


async def to_deliver(session: AsyncSession, order_id: str, limit: int) -> list[GatewayEvent]:
    """What the order is to be told now, in the order in which the gateway created it."""
    rows = await session.exec(
        select(CallbackRow)
        .where(_to_deliver(), CallbackRow.order_id == order_id)
        .order_by(col(CallbackRow.created_at), col(CallbackRow.id))
        .limit(limit)
    )
    return [_event(row) for row in rows]


async def waiting(session: AsyncSession, limit: int) -> list[WaitingCallback]:
    """Not yet delivered: the most often refused first, then the oldest."""
    rows = await session.exec(
        select(CallbackRow)
        .where(col(CallbackRow.delivered_at).is_(None))
        .order_by(col(CallbackRow.failures).desc(), col(CallbackRow.id))
        .limit(limit)
    )
    return [
        WaitingCallback(
            event_id=row.event_id,
            type=row.type,
            order_id=row.order_id or "",
            received_at=row.received_at,
            failures=row.failures,
            last_error=row.last_error,
            next_try_at=row.next_try_at,
        )
        for row in rows
    ]


async def delivered(session: AsyncSession, event: GatewayEvent, outcome: str) -> None:
    """Note what became of `event`, unless that is noted already."""
    await session.exec(
        update(CallbackRow).where(*_is(event)).values(delivered_at=func.now(), outcome=outcome)
    )


async def refused(session: AsyncSession, event: GatewayEvent, error: str) -> None:
    """Note why `event` could not be delivered, and set it aside for a while."""
    doublings = func.least(col(CallbackRow.failures), _DOUBLINGS)
    seconds = func.power(2.0, doublings) * _FIRST_PAUSE_SECONDS
    await session.exec(
        update(CallbackRow)
        .where(*_is(event))
        .values(
            failures=col(CallbackRow.failures) + 1,
            last_error=error,
            next_try_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
        )
    )


async def foreign(session: AsyncSession, limit: int) -> list[ForeignCallback]:
    """Of no order of ours, the newest first."""
    rows = await session.exec(
        select(CallbackRow)
        .where(col(CallbackRow.order_id).is_(None))
        .order_by(col(CallbackRow.id).desc())
        .limit(limit)
    )
    return [ForeignCallback(_event(row), row.received_at) for row in rows]


def _whose(event: GatewayEvent) -> Any:
    """What is begun at the gateway itself names its payment, and whatever somebody typed there."""
    if event.payment is not None or event.transaction_id is None:
        return event.order_id
    paid = (
        select(PaymentEventRow.order_id)
        .where(names_transaction, fact_reference == event.transaction_id)
        .order_by(col(PaymentEventRow.id))
        .limit(1)
    )
    return func.coalesce(paid.scalar_subquery(), event.order_id)


def _values(event: GatewayEvent) -> dict[str, Any]:
    return {
        "gateway": event.gateway,
        "event_id": event.event_id,
        "type": event.type,
        "event": _EVENT.dump_python(event, mode="json", exclude=_LEFT_OUT),
        "created_at": event.created_at,
    }


def _typed(name: str, value: Any) -> ColumnElement[Any]:
    return literal(value, JSONB() if name == "event" else None)


def _event(row: CallbackRow) -> GatewayEvent:
    return _EVENT.validate_python({**row.event, "order_id": row.order_id or row.event["order_id"]})


def _is(event: GatewayEvent) -> tuple[ColumnElement[bool], ...]:
    return (
        col(CallbackRow.gateway) == event.gateway,
        col(CallbackRow.event_id) == event.event_id,
        col(CallbackRow.delivered_at).is_(None),
    )


def _to_deliver() -> ColumnElement[bool]:
    due = or_(col(CallbackRow.next_try_at).is_(None), col(CallbackRow.next_try_at) <= func.now())
    return col(CallbackRow.delivered_at).is_(None) & due
