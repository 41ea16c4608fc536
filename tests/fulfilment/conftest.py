"""The wired fulfilment steps, on a real database and a real mail server."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.records import PostgresRecords
from app.domain.fulfilment import FulfilmentStep
from app.domain.money import Money
from app.domain.order import Order
from app.fulfilment.reserve_stock import set_stock
from app.wiring import build_steps
from tests.conftest import settings_with
from tests.fulfilment.mailbox import Mailbox


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with Mailbox() as running:
        yield running


@pytest.fixture
def steps(engine: AsyncEngine, mailbox: Mailbox) -> dict[str, FulfilmentStep]:
    """Every wired step by its name."""
    settings = settings_with(smtp_host=mailbox.host, smtp_port=mailbox.port)
    return {step.plan.name: step for step in build_steps(settings, engine)}


@pytest.fixture
async def order(records: PostgresRecords, engine: AsyncEngine) -> Order:
    """An order of two of the ten mugs that are there."""
    await set_stock(engine, "mug", 10)
    order = Order(
        "order-1",
        Money(4999, "usd"),
        metadata={"sku": "mug", "quantity": "2"},
        customer_email="shopper@example.com",
    )
    await records.open_order(order)
    return order
