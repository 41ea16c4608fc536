"""The migrations make exactly the tables that the code writes to."""

import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import SQLModel

from app.db.migrate import alembic_config, migrate
from app.db.records import PostgresRecords
from app.domain.order import Order


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, SQLModel.metadata))


def _tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


async def test_the_tables_are_those_of_the_models(connection: AsyncConnection) -> None:
    assert await connection.run_sync(_differences) == []


async def test_migrations_can_be_taken_back_and_applied_again(
    database_url: str, engine: AsyncEngine
) -> None:
    await asyncio.to_thread(command.downgrade, alembic_config(database_url), "base")
    async with engine.connect() as connection:
        assert await connection.run_sync(_tables) == ["alembic_version"]
        functions = text("SELECT 1 FROM pg_proc WHERE proname = 'refuse_change'")
        assert (await connection.execute(functions)).all() == []
    for _ in range(2):
        await asyncio.to_thread(migrate, database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payment_events SET event = 'captured'",
        "DELETE FROM payment_events",
        "TRUNCATE payment_events",
        "TRUNCATE orders CASCADE",
    ],
)
async def test_facts_cannot_be_changed_or_deleted(
    records: PostgresRecords, connection: AsyncConnection, order: Order, change: str
) -> None:
    await records.open_order(order)
    with pytest.raises(DBAPIError, match="append-only"):
        await connection.execute(text(change))
    await connection.rollback()
    assert len(await records.facts(order.order_id)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payments SET captured = authorized + 1",
        "UPDATE payments SET refunded = captured + 1",
        "UPDATE payments SET refunded = -1",
        "INSERT INTO stock (sku, available) VALUES ('mug', -1)",
    ],
)
async def test_the_database_itself_refuses_amounts_that_cannot_be(
    records: PostgresRecords, connection: AsyncConnection, order: Order, change: str
) -> None:
    await records.open_order(order)
    with pytest.raises(DBAPIError, match="check constraint"):
        await connection.execute(text(change))
