"""Attempts to pay that took places, and of which it is not known yet what becomes of them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, delete, select

from app.db.engine import transaction
from app.db.tables import OrderRow, PaymentEventRow, PaymentRow, UnsettledAttemptRow
from app.domain.payment import OrderState, State


class Unsettled(NamedTuple):
    """One attempt, the names that it is counted under, and how its order stands."""

    order_id: str
    attempt: int
    names: Sequence[str]
    order_state: OrderState
    state: State
    method: str | None


class UnsettledAttempts:
    """Raises RecordsUnavailableError when the database cannot be reached."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, order_id: str, attempt: int, names: Sequence[str]) -> bool:
        """Keep the attempt until it is taken. False, and it is not kept, where another request has
        made it: it is kept already, or in the facts."""
        async with transaction(self._engine) as session:
            added = await session.exec(
                insert(UnsettledAttemptRow)
                .values(order_id=order_id, attempt=attempt, names=names)
                .on_conflict_do_nothing()
                .returning(col(UnsettledAttemptRow.order_id))
            )
            if added.first() is None:
                return False
            # After it: who takes an attempt has seen it in the facts.
            known = await session.exec(
                select(PaymentEventRow.id).where(
                    PaymentEventRow.order_id == order_id,
                    col(PaymentEventRow.fact)["attempt"].as_integer() == attempt,
                )
            )
            if known.first() is not None:
                await session.rollback()
                return False
        return True

    async def names_of(self, order_id: str, attempt: int) -> Sequence[str] | None:
        """Under which names the attempt is counted; None where it is not kept."""
        async with transaction(self._engine) as session:
            row = await session.get(UnsettledAttemptRow, (order_id, attempt))
            return row.names if row is not None else None

    async def all(self) -> list[Unsettled]:
        """Each of them."""
        async with transaction(self._engine) as session:
            rows = await session.exec(
                select(
                    UnsettledAttemptRow, OrderRow.state, PaymentRow.state, PaymentRow.method_type
                )
                .join(OrderRow, col(OrderRow.order_id) == UnsettledAttemptRow.order_id)
                .join(PaymentRow, col(PaymentRow.order_id) == UnsettledAttemptRow.order_id)
            )
            return [
                Unsettled(
                    row.order_id, row.attempt, row.names, OrderState(order), State(state), method
                )
                for row, order, state, method in rows
            ]

    async def take(self, order_id: str, attempt: int) -> bool:
        """Forget the attempt. Whether it was there, which is so for one caller only."""
        async with transaction(self._engine) as session:
            taken = await session.exec(
                delete(UnsettledAttemptRow)
                .where(
                    col(UnsettledAttemptRow.order_id) == order_id,
                    col(UnsettledAttemptRow.attempt) == attempt,
                )
                .returning(col(UnsettledAttemptRow.order_id))
            )
            return taken.first() is not None
