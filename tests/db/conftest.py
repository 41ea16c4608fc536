"""SQL beside the records, to see what really stands in the tables."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.domain.money import Money
from app.domain.order import Capture, Order


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    async with engine.connect() as connection:
        yield connection


@pytest.fixture
def order() -> Order:
    return Order(
        "order-1",
        Money(4999, "usd"),
        Capture.MANUAL,
        {"sku": "mug", "note": "für Zoë"},
        "shopper@example.com",
    )
