"""Erasing who the shopper was, once an order is over for long enough. Every figure stays."""

from datetime import datetime

from sqlalchemy import tuple_
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import OrderRow, PaymentRow, UnknownOutcomeRow, has_personal_data
from app.domain.payment import OrderState, State
from app.domain.records import Place

_OVER = (OrderState.FULFILLED, OrderState.CANCELED)


async def erase(
    session: AsyncSession, before: datetime, after: Place | None, limit: int
) -> list[Place]:
    """See `Records.erase_personal_data`. Not over is, too, what a bank still decides on (a dispute,
    a refund on its way) and what has an unknown outcome."""
    order_id, created_at = col(OrderRow.order_id), col(OrderRow.created_at)
    unknown = select(UnknownOutcomeRow.order_id).where(UnknownOutcomeRow.order_id == order_id)
    over = (
        select(OrderRow.order_id)
        .join(PaymentRow)
        .where(
            has_personal_data,
            created_at < before,
            col(OrderRow.state).in_(_OVER),
            PaymentRow.state != State.DISPUTED,
            PaymentRow.refunds_pending == 0,
            col(PaymentRow.updated_at) < before,
            ~unknown.exists(),
        )
        .order_by(created_at, order_id)
        .limit(limit)
    )
    if after is not None:
        over = over.where(tuple_(created_at, order_id) > (after.created_at, after.order_id))
    erased = await session.exec(
        update(OrderRow)
        .where(order_id.in_(over))
        .values(sealed_email=None, sealed_mandate=None, customer_email=None, mandate=None)
        .returning(created_at, order_id)
    )
    return sorted(
        (Place(*row) for row in erased), key=lambda place: (place.created_at, place.order_id)
    )
