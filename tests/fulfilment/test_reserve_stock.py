"""Stock is sold once."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select

from app.db.engine import transaction
from app.db.records import PostgresRecords
from app.db.tables import ReservationRow, StockRow
from app.domain.fulfilment import StepRefusedError
from app.domain.money import Money
from app.domain.order import Order
from app.fulfilment.reserve_stock import ReserveStock, set_stock


@pytest.fixture
def reserve_stock(engine: AsyncEngine) -> ReserveStock:
    return ReserveStock(engine)


async def _stock(engine: AsyncEngine) -> tuple[int, int]:
    """How many mugs are available, and how many reservations stand."""
    async with transaction(engine) as session:
        stock = await session.get_one(StockRow, "mug")
        reserved = await session.exec(
            select(func.count())
            .select_from(ReservationRow)
            .where(col(ReservationRow.released_at).is_(None))
        )
        return stock.available, reserved.one()


async def test_a_reservation_takes_from_the_stock_and_undoing_it_gives_back(
    reserve_stock: ReserveStock, engine: AsyncEngine, order: Order
) -> None:
    assert await reserve_stock.run(order) == "2 x mug"
    assert await _stock(engine) == (8, 1)
    await reserve_stock.undo(order)
    assert await _stock(engine) == (10, 0)


async def test_out_of_stock_reserves_nothing(
    reserve_stock: ReserveStock, engine: AsyncEngine, order: Order
) -> None:
    await set_stock(engine, "mug", 1)
    with pytest.raises(StepRefusedError, match="out of stock: 2 x mug"):
        await reserve_stock.run(order)
    assert await _stock(engine) == (1, 0)
    await reserve_stock.undo(order)
    assert await _stock(engine) == (1, 0)


async def test_an_article_nobody_has_heard_of_is_out_of_stock(
    reserve_stock: ReserveStock, order: Order
) -> None:
    with pytest.raises(StepRefusedError, match="out of stock"):
        await reserve_stock.run(replace(order, metadata={"sku": "unicorn"}))


async def test_fifty_at_once_get_the_ten_that_are_there(
    reserve_stock: ReserveStock, engine: AsyncEngine, records: PostgresRecords
) -> None:
    await set_stock(engine, "mug", 10)
    orders = [Order(f"order-{n}", Money(100, "usd"), metadata={"sku": "mug"}) for n in range(50)]
    await asyncio.gather(*map(records.open_order, orders))
    answers = await asyncio.gather(*map(reserve_stock.run, orders), return_exceptions=True)
    assert answers.count("1 x mug") == 10
    refusals = [answer for answer in answers if isinstance(answer, StepRefusedError)]
    assert len(refusals) == 40
    assert await _stock(engine) == (0, 10)
    await asyncio.gather(*map(reserve_stock.undo, orders))
    assert await _stock(engine) == (10, 0)


async def test_the_same_order_at_once_reserves_once(
    reserve_stock: ReserveStock, engine: AsyncEngine, order: Order
) -> None:
    answers = await asyncio.gather(*(reserve_stock.run(order) for _ in range(15)))
    assert set(answers) == {"2 x mug"}
    assert await _stock(engine) == (8, 1)
    await asyncio.gather(*(reserve_stock.undo(order) for _ in range(15)))
    assert await _stock(engine) == (10, 0)


async def test_an_order_without_an_article_reserves_nothing(
    reserve_stock: ReserveStock, engine: AsyncEngine, order: Order
) -> None:
    plain = replace(order, metadata={})
    assert await reserve_stock.run(plain) == "nothing to reserve"
    await reserve_stock.undo(plain)
    assert await _stock(engine) == (10, 0)


@pytest.mark.parametrize("quantity", ["0", "-1", "1.5", "", "two", "٣", "1000001", "9" * 5000])
async def test_a_quantity_that_is_none_is_refused_and_can_be_undone(
    reserve_stock: ReserveStock, engine: AsyncEngine, order: Order, quantity: str
) -> None:
    odd = replace(order, metadata={"sku": "mug", "quantity": quantity})
    with pytest.raises(StepRefusedError, match="not a number of articles"):
        await reserve_stock.run(odd)
    await reserve_stock.undo(odd)
    assert await _stock(engine) == (10, 0)
