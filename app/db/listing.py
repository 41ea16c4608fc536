"""The list of payments: read from the projection, page by page, the newest first."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, func, tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.tables import OrderRow, PaymentRow, UnknownOutcomeRow
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.payment import OrderState, State
from app.domain.records import Filter, Place, Summary

_created_at, _order_id = col(PaymentRow.created_at), col(PaymentRow.order_id)
_next_check_at = (
    select(func.min(UnknownOutcomeRow.next_check_at))
    .where(UnknownOutcomeRow.order_id == PaymentRow.order_id)
    .scalar_subquery()
)


async def payments(
    session: AsyncSession, wanted: Filter, after: Place | None, limit: int
) -> list[Summary]:
    """At most `limit` payments, from behind `after` on."""
    found = await session.exec(
        select(PaymentRow, OrderRow.state, _next_check_at)
        .join(OrderRow)
        .where(*_conditions(wanted, after))
        .order_by(_created_at.desc(), _order_id.desc())
        .limit(limit)
    )
    return [_summary(*each) for each in found]


def _conditions(wanted: Filter, after: Place | None) -> Iterator[ColumnElement[bool]]:
    if after is not None:
        yield tuple_(_created_at, _order_id) < (after.created_at, after.order_id)
    if wanted.states:
        yield col(PaymentRow.state).in_(wanted.states)
    if wanted.methods:
        yield col(PaymentRow.method_type).in_(wanted.methods)
    if wanted.since is not None:
        yield _created_at >= wanted.since
    if wanted.until is not None:
        yield _created_at < wanted.until
    if wanted.needs_attention is not None:
        yield col(PaymentRow.needs_attention) == wanted.needs_attention
    if wanted.customer_id is not None:
        yield col(OrderRow.customer_id) == wanted.customer_id
    if wanted.unknown is not None:
        unknown = select(UnknownOutcomeRow.order_id)
        yield _order_id.in_(unknown) if wanted.unknown else _order_id.not_in(unknown)


def _summary(row: PaymentRow, order_state: str, next_check_at: datetime | None) -> Summary:
    return Summary(
        place=Place(row.created_at, row.order_id),
        payment_id=row.payment_id,
        state=State(row.state),
        order_state=OrderState(order_state),
        amount=Money(row.amount, row.currency),
        authorized=row.authorized,
        captured=row.captured,
        refunded=row.refunded,
        disputed=row.disputed,
        method=Method(row.method_type) if row.method_type is not None else None,
        method_shown=row.method,
        needs_attention=row.needs_attention,
        next_check_at=next_check_at,
    )
