"""Hand the order to the warehouse, which reads the `shipments` table."""

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from app.db.engine import transaction
from app.db.tables import ShipmentRow
from app.domain.fulfilment import Phase, StepPlan, StepRefusedError
from app.domain.order import Order


class ShipOrder:
    """One shipment an order. A canceled one stays as a row, so that a late `run` finds it."""

    plan = StepPlan("ship_order", Phase.AFTER_CAPTURE, essential=True)

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, order: Order) -> str:
        async with transaction(self._engine) as session:
            await session.exec(
                insert(ShipmentRow).values(order_id=order.order_id).on_conflict_do_nothing()
            )
            shipment = await session.get_one(ShipmentRow, order.order_id)
            if shipment.canceled_at is not None:
                raise StepRefusedError("the shipment was already canceled")
        return f"shipment {order.order_id}"

    async def undo(self, order: Order) -> None:
        async with transaction(self._engine) as session:
            await session.exec(
                insert(ShipmentRow)
                .values(order_id=order.order_id, canceled_at=func.now())
                .on_conflict_do_update(
                    index_elements=["order_id"],
                    set_={"canceled_at": func.now()},
                    where=col(ShipmentRow.canceled_at).is_(None),
                )
            )
