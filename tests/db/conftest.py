"""SQL beside the records, to see what really stands in the tables."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.money import Money
from app.domain.order import Capture, Order

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


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
        "customer-1",
    )


@pytest.fixture
async def paid(records: PostgresRecords, order: Order) -> PostgresRecords:
    """The records, with `order` paid."""
    await records.open_order(order)
    captured = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
    await records.append(order.order_id, [captured])
    return records
