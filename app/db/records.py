"""The `Records` port on PostgreSQL: the only writer of orders, facts, customers and callbacks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db import erasure, inbox, journal, listing, unknown
from app.db import facts as fact_rows
from app.db.engine import transaction
from app.db.personal import PersonalData
from app.db.tables import (
    CustomerRow,
    OrderRow,
    PaymentEventRow,
    PaymentRow,
    fact_reference,
    names_transaction,
)
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayEvent, GatewayMovement
from app.domain.ledger import postings
from app.domain.money import Money
from app.domain.order import Capture, Mandate, Order
from app.domain.payment import Payment, State, apply, fold, is_repetition
from app.domain.records import (
    Filter,
    ForeignCallback,
    Place,
    RefundRefusedError,
    Summary,
    TakenCallback,
    WaitingCallback,
)
from app.domain.unknown import UnknownOutcome
from app.keyring import Keyring


class PostgresRecords:
    """Every method is one transaction; each raises RecordsUnavailableError when it cannot be."""

    def __init__(self, engine: AsyncEngine, gateway: str, keyring: Keyring) -> None:
        self._engine = engine
        self._gateway = gateway
        self._keyring = keyring
        self._personal = PersonalData(keyring)

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
                    customer_id=order.customer_id,
                    state="open",
                    **self._personal.sealed(order.order_id, order.customer_email, order.mandate),
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
            known = self._whole(row)
            return known, await self._payment(session, known)

    async def find_order(self, order_id: str) -> Order | None:
        async with transaction(self._engine) as session:
            row = await session.get(OrderRow, order_id)
            return self._whole(row) if row is not None else None

    async def find_payment(self, order_id: str) -> Payment | None:
        async with transaction(self._engine) as session:
            row = await session.get(OrderRow, order_id)
            return await self._payment(session, _order(row)) if row is not None else None

    async def find_order_paid_by(self, transaction_id: str) -> str | None:
        async with transaction(self._engine) as session:
            found = await session.exec(
                select(PaymentEventRow.order_id)
                .where(names_transaction, fact_reference == transaction_id)
                .order_by(col(PaymentEventRow.id))
            )
            return found.first()

    async def list_payments(self, wanted: Filter, after: Place | None, limit: int) -> list[Summary]:
        async with transaction(self._engine) as session:
            return await listing.payments(session, wanted, after, limit)

    async def facts(self, order_id: str) -> list[Fact]:
        async with transaction(self._engine) as session:
            return await self._facts(session, order_id)

    async def append(self, order_id: str, facts: Sequence[Fact]) -> Payment:
        async with transaction(self._engine) as session:
            order = await _locked(session, order_id)
            return await self._append(session, order, facts)

    async def open_refund(self, order_id: str, name: str, amount: int, reason: str | None) -> Fact:
        async with transaction(self._engine) as session:
            order = await _locked(session, order_id)
            facts = await self._facts(session, order_id)
            noted = next((fact for fact in facts if fact.refund == name), None)
            if noted is not None:
                return noted
            payment = fold(Payment(order_id, order.amount), facts)
            if not 0 < amount <= payment.refundable:  # before a capture nothing is
                raise RefundRefusedError(payment.refundable)
            wanted = Fact(
                Event.REFUND_PENDING,
                datetime.now(UTC),
                Source.API,
                amount=amount,
                refund=name,
                reason=reason,
            )
            await self._append(session, order, [wanted])
            return wanted

    async def note_unknown(self, order_id: str, outcome: UnknownOutcome) -> None:
        async with transaction(self._engine) as session:
            await unknown.note(session, order_id, outcome)

    async def unknown_outcomes(self, order_id: str) -> list[UnknownOutcome]:
        async with transaction(self._engine) as session:
            return await unknown.find(session, order_id)

    async def accept_mandate(self, order_id: str, mandate: Mandate) -> None:
        async with transaction(self._engine) as session:
            row = await session.get_one(OrderRow, order_id, with_for_update=True)
            email, _ = self._personal.open(row)
            self._personal.put(row, email, mandate)

    async def find_customer(self, customer_id: str) -> str | None:
        async with transaction(self._engine) as session:
            row = await session.get(CustomerRow, (self._gateway, customer_id))
            return row.gateway_id if row is not None else None

    async def keep_customer(self, customer_id: str, gateway_id: str) -> str:
        async with transaction(self._engine) as session:
            await session.exec(
                insert(CustomerRow)
                .values(gateway=self._gateway, customer_id=customer_id, gateway_id=gateway_id)
                .on_conflict_do_nothing()
            )
            row = await session.get_one(CustomerRow, (self._gateway, customer_id))
            return row.gateway_id

    async def take_callback(self, event: GatewayEvent) -> TakenCallback:
        async with transaction(self._engine) as session:
            return await inbox.take(session, event)

    async def keep_foreign_callback(self, event: GatewayEvent) -> bool:
        async with transaction(self._engine) as session:
            return await inbox.keep_foreign(session, event)

    async def foreign_callbacks(self, limit: int) -> list[ForeignCallback]:
        async with transaction(self._engine) as session:
            return await inbox.foreign(session, limit)

    async def orders_called_back(self, after: str, limit: int) -> list[str]:
        async with transaction(self._engine) as session:
            return await inbox.orders_called_back(session, after, limit)

    async def callbacks_to_deliver(self, order_id: str, limit: int) -> list[GatewayEvent]:
        async with transaction(self._engine) as session:
            return await inbox.to_deliver(session, order_id, limit)

    async def waiting_callbacks(self, limit: int) -> list[WaitingCallback]:
        async with transaction(self._engine) as session:
            return await inbox.waiting(session, limit)

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        async with transaction(self._engine) as session:
            await inbox.delivered(session, event, outcome)

    async def callback_refused(self, event: GatewayEvent, error: str) -> None:
        async with transaction(self._engine) as session:
            await inbox.refused(session, event, error)

    async def keep_account_movements(self, movements: Sequence[GatewayMovement]) -> None:
        async with transaction(self._engine) as session:
            await journal.append_movements(session, movements)

    async def stranded_orders(self, before: datetime, after: str, limit: int) -> list[Order]:
        attempted = select(PaymentEventRow.id).where(
            PaymentEventRow.order_id == OrderRow.order_id,
            PaymentEventRow.event == Event.ATTEMPTED,
        )
        async with transaction(self._engine) as session:
            rows = await session.exec(
                select(OrderRow)
                .join(PaymentRow)
                .where(
                    PaymentRow.state == State.INITIATED,
                    col(OrderRow.created_at) < before,
                    col(OrderRow.order_id) > after,
                    ~attempted.exists(),
                )
                .order_by(col(OrderRow.order_id))
                .limit(limit)
            )
            return [_order(row) for row in rows]

    async def erase_personal_data(
        self, before: datetime, after: Place | None, limit: int
    ) -> list[Place]:
        async with transaction(self._engine) as session:
            return await erasure.erase(session, before, after, limit)

    def _whole(self, row: OrderRow) -> Order:
        """With who the shopper is."""
        email, mandate = self._personal.open(row)
        return replace(_order(row), customer_email=email, mandate=mandate)

    async def _facts(self, session: AsyncSession, order_id: str) -> list[Fact]:
        return (await fact_rows.of_orders(session, self._keyring, [order_id]))[order_id]

    async def _payment(self, session: AsyncSession, order: Order) -> Payment:
        facts = await self._facts(session, order.order_id)
        return fold(Payment(order.order_id, order.amount), facts)

    async def _append(self, session: AsyncSession, order: Order, facts: Sequence[Fact]) -> Payment:
        payment = Payment(order.order_id, order.amount)
        keys = set()
        for fact in await self._facts(session, order.order_id):
            keys.add(fact.key)
            payment = apply(payment, fact)
        new: list[Fact] = []
        entries: list[journal.Row] = []
        for fact in facts:
            if fact.key not in keys and not is_repetition(payment, fact):
                keys.add(fact.key)
                before, payment = payment, apply(payment, fact)
                new.append(fact)
                posted = postings(before, payment)
                entries += journal.entry(order.order_id, fact.key, fact.at, posted)
        await fact_rows.append(session, self._keyring, order.order_id, new)
        await journal.append(session, entries)
        await self._project(session, payment)
        return payment

    async def _project(self, session: AsyncSession, payment: Payment) -> None:
        method = payment.attempt.method if payment.attempt is not None else None
        columns = {
            "payment_id": payment.payment_id,
            "gateway": self._gateway,
            "state": payment.state,
            "currency": payment.amount.currency,
            "amount": payment.amount.minor,
            "authorized": payment.authorized,
            "captured": payment.captured,
            "refunded": payment.refunded,
            "refunds_pending": payment.refunds_pending,
            "disputed": payment.disputed,
            "transaction_id": payment.transaction_id,
            "method": str(method) if method is not None else None,
            "method_type": method.type if method is not None else None,
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
    """Without who the shopper is."""
    return Order(
        order_id=row.order_id,
        amount=Money(row.amount, row.currency),
        capture=Capture(row.capture),
        metadata=row.details,
        customer_id=row.customer_id,
    )


async def _locked(session: AsyncSession, order_id: str) -> Order:
    """The order. The lock puts its writers in a row; whoever only refers to the order, as the inbox
    does, needs not wait for them."""
    return _order(await session.get_one(OrderRow, order_id, with_for_update={"key_share": True}))
