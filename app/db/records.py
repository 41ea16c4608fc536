"""The `Records` port on PostgreSQL: the only writer of orders, facts and the callback inbox."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.engine import transaction
from app.db.tables import CallbackRow, OrderRow, PaymentEventRow, PaymentRow
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayEvent
from app.domain.money import Money
from app.domain.order import Capture, Order
from app.domain.payment import Payment, fold

_FACT = TypeAdapter(Fact)
_CALLBACK = TypeAdapter(GatewayEvent)


class PostgresRecords:
    """Every method is one transaction; each raises RecordsUnavailableError when it cannot be."""

    def __init__(self, engine: AsyncEngine, gateway: str) -> None:
        self._engine = engine
        self._gateway = gateway

    async def open_order(self, order: Order) -> tuple[Order, Payment]:
        async with transaction(self._engine) as session:
            new = await session.exec(
                insert(OrderRow)
                .values(
                    order_id=order.order_id,
                    amount=order.amount.minor,
                    currency=order.amount.currency,
                    capture=order.capture,
                    metadata=order.metadata,
                    customer_email=order.customer_email,
                    state="open",
                )
                .on_conflict_do_nothing()
                .returning(col(OrderRow.order_id))
            )
            if new.first() is not None:
                fact = Fact(
                    Event.INITIATED, datetime.now(UTC), Source.API, amount=order.amount.minor
                )
                return order, await self._append(session, order, [fact])
            row = await session.get_one(OrderRow, order.order_id)
            known = _order(row)
            return known, await _payment(session, known)

    async def find_order(self, order_id: str) -> Order | None:
        async with transaction(self._engine) as session:
            row = await session.get(OrderRow, order_id)
            return _order(row) if row is not None else None

    async def find_payment(self, order_id: str) -> Payment | None:
        async with transaction(self._engine) as session:
            row = await session.get(OrderRow, order_id)
            return await _payment(session, _order(row)) if row is not None else None

    async def facts(self, order_id: str) -> list[Fact]:
        async with transaction(self._engine) as session:
            return await _facts(session, order_id)

    async def append(self, order_id: str, facts: Sequence[Fact]) -> Payment:
        async with transaction(self._engine) as session:
            # The lock puts writers of one order in a row.
            row = await session.get_one(OrderRow, order_id, with_for_update=True)
            return await self._append(session, _order(row), facts)

    async def store_callback(self, event: GatewayEvent) -> bool:
        async with transaction(self._engine) as session:
            new = await session.exec(
                insert(CallbackRow)
                .values(
                    gateway=event.gateway,
                    event_id=event.event_id,
                    type=event.type,
                    order_id=event.order_id,
                    event=_CALLBACK.dump_python(event, mode="json"),
                    created_at=event.created_at,
                )
                .on_conflict_do_nothing()
                .returning(col(CallbackRow.id))
            )
            return new.first() is not None

    async def waiting_callbacks(self, limit: int) -> list[GatewayEvent]:
        async with transaction(self._engine) as session:
            rows = await session.exec(
                select(CallbackRow)
                .where(col(CallbackRow.delivered_at).is_(None))
                .order_by(col(CallbackRow.created_at), col(CallbackRow.id))
                .limit(limit)
            )
            return [_CALLBACK.validate_python(row.event) for row in rows]

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        async with transaction(self._engine) as session:
            await session.exec(
                update(CallbackRow)
                .where(
                    col(CallbackRow.gateway) == event.gateway,
                    col(CallbackRow.event_id) == event.event_id,
                    col(CallbackRow.delivered_at).is_(None),
                )
                .values(delivered_at=func.now(), outcome=outcome)
            )

    async def _append(self, session: AsyncSession, order: Order, facts: Sequence[Fact]) -> Payment:
        if facts:
            await session.exec(
                insert(PaymentEventRow)
                .values(
                    [
                        {
                            "order_id": order.order_id,
                            "key": fact.key,
                            "event": fact.event,
                            "fact": _FACT.dump_python(fact, mode="json", exclude_none=True),
                        }
                        for fact in facts
                    ]
                )
                .on_conflict_do_nothing()
            )
        payment = await _payment(session, order)
        await self._project(session, payment)
        return payment

    async def _project(self, session: AsyncSession, payment: Payment) -> None:
        latest = payment.attempt
        columns = {
            "payment_id": payment.payment_id,
            "gateway": self._gateway,
            "state": payment.state,
            "currency": payment.amount.currency,
            "amount": payment.amount.minor,
            "authorized": payment.authorized,
            "captured": payment.captured,
            "refunded": payment.refunded,
            "transaction_id": payment.transaction_id,
            "method": str(latest.method) if latest is not None and latest.method else None,
            "needs_attention": bool(payment.attention),
        }
        await session.exec(
            insert(PaymentRow)
            .values(order_id=payment.order_id, **columns)
            .on_conflict_do_update(
                index_elements=["order_id"], set_={**columns, "updated_at": func.now()}
            )
        )
        await session.exec(
            update(OrderRow)
            .where(col(OrderRow.order_id) == payment.order_id)
            .values(state=payment.order_state)
        )


def _order(row: OrderRow) -> Order:
    return Order(
        order_id=row.order_id,
        amount=Money(row.amount, row.currency),
        capture=Capture(row.capture),
        metadata=row.details,
        customer_email=row.customer_email,
    )


async def _facts(session: AsyncSession, order_id: str) -> list[Fact]:
    rows = await session.exec(
        select(PaymentEventRow.fact)
        .where(PaymentEventRow.order_id == order_id)
        .order_by(col(PaymentEventRow.id))
    )
    return [_FACT.validate_python(row) for row in rows]


async def _payment(session: AsyncSession, order: Order) -> Payment:
    return fold(Payment(order.order_id, order.amount), await _facts(session, order.order_id))
