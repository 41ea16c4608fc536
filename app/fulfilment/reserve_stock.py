"""Set stock aside before the money is taken.

The order's metadata names the article: `sku`, and `quantity` (1 if missing). An order without a
`sku` has nothing to reserve.
"""

import re

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, update

from app.db.engine import transaction
from app.db.tables import ReservationRow, StockRow
from app.domain.fulfilment import Phase, StepPlan, StepRefusedError
from app.domain.order import Order

_QUANTITY = re.compile(r"[1-9][0-9]{0,5}")


class ReserveStock:
    """One reservation an order. A released one stays as a row, so that a late `run` finds it."""

    plan = StepPlan("reserve_stock", Phase.BEFORE_CAPTURE, essential=True)

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, order: Order) -> str:
        wanted = _wanted(order)
        if wanted is None:
            return "nothing to reserve"
        sku, quantity = wanted
        async with transaction(self._engine) as session:
            new = await session.exec(
                insert(ReservationRow)
                .values(order_id=order.order_id, sku=sku, quantity=quantity)
                .on_conflict_do_nothing()
                .returning(col(ReservationRow.order_id))
            )
            if new.first() is None:
                known = await session.get_one(ReservationRow, order.order_id)
                if known.released_at is not None:
                    raise StepRefusedError("the reservation was already released")
                return f"{quantity} x {sku}"
            taken = await session.exec(
                update(StockRow)
                .where(col(StockRow.sku) == sku, col(StockRow.available) >= quantity)
                .values(available=col(StockRow.available) - quantity)
                .returning(col(StockRow.available))
            )
            if taken.first() is None:
                raise StepRefusedError(f"out of stock: {quantity} x {sku}")
        return f"{quantity} x {sku}"

    async def undo(self, order: Order) -> None:
        try:
            wanted = _wanted(order)
        except StepRefusedError:
            return  # `run` refused it as well
        if wanted is None:
            return
        sku, quantity = wanted
        async with transaction(self._engine) as session:
            never_reserved = await session.exec(
                insert(ReservationRow)
                .values(order_id=order.order_id, sku=sku, quantity=quantity, released_at=func.now())
                .on_conflict_do_nothing()
                .returning(col(ReservationRow.order_id))
            )
            if never_reserved.first() is not None:
                return
            released = await session.exec(
                update(ReservationRow)
                .where(
                    col(ReservationRow.order_id) == order.order_id,
                    col(ReservationRow.released_at).is_(None),
                )
                .values(released_at=func.now())
                .returning(col(ReservationRow.order_id))
            )
            if released.first() is not None:
                await session.exec(
                    update(StockRow)
                    .where(col(StockRow.sku) == sku)
                    .values(available=col(StockRow.available) + quantity)
                )


async def set_stock(engine: AsyncEngine, sku: str, available: int) -> None:
    """Say how many of `sku` can still be sold."""
    async with transaction(engine) as session:
        await session.exec(
            insert(StockRow)
            .values(sku=sku, available=available)
            .on_conflict_do_update(index_elements=["sku"], set_={"available": available})
        )


def _wanted(order: Order) -> tuple[str, int] | None:
    sku = order.metadata.get("sku")
    if sku is None:
        return None
    quantity = order.metadata.get("quantity", "1")
    if _QUANTITY.fullmatch(quantity) is None:
        raise StepRefusedError(f"quantity {quantity!r} is not a number of articles")
    return sku, int(quantity)
