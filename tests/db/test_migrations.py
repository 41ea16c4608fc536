"""The migrations make exactly the tables that the code writes to."""

import asyncio
import json
from dataclasses import replace

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
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Capture, Order
from app.domain.payment import State
from app.domain.records import Filter
from tests.conftest import KEYRING


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
        "UPDATE payments SET refunds_pending = captured + 1",
        "UPDATE payments SET disputed = captured + 1",
        "UPDATE payments SET refunded = 2000, refunds_pending = 2000, disputed = 1000",
        "UPDATE payments SET refunded = -1",
        "UPDATE payments SET refunds_pending = -1",
        "UPDATE payments SET disputed = -1",
        "UPDATE payments SET captured = -1, authorized = -1",
        "INSERT INTO stock (sku, available) VALUES ('mug', -1)",
    ],
)
async def test_the_database_itself_refuses_amounts_that_cannot_be(
    paid: PostgresRecords, connection: AsyncConnection, change: str
) -> None:
    with pytest.raises(DBAPIError, match="check constraint"):
        await connection.execute(text(change))


async def test_a_payment_may_be_given_back_in_every_way_at_once(
    paid: PostgresRecords, connection: AsyncConnection
) -> None:
    whole = "UPDATE payments SET refunded = 2000, refunds_pending = 2000, disputed = 999"
    assert (await connection.execute(text(whole))).rowcount == 1


# As the first version wrote them.
AT = "2026-11-22T12:00:00Z"
OTHER_METHOD = {"type": "credit_card", "brand": "amex", "last4": "0005"}
METHOD = {"type": "debit_card", "brand": "visa", "last4": "4242"}
OLD_FACTS = [
    {"event": "initiated", "at": AT, "source": "api", "attempt": 0, "amount": 4999},
    {"event": "attempted", "at": AT, "source": "workflow", "attempt": 1, "method": OTHER_METHOD},
    {"event": "attempted", "at": AT, "source": "workflow", "attempt": 2, "method": METHOD},
    {"event": "captured", "at": AT, "source": "gateway", "attempt": 0, "amount": 4999}
    | {"reference": "pi_1"},
    {"event": "refunded", "at": AT, "source": "gateway", "attempt": 0, "amount": 999}
    | {"reference": "re_1"},
]
OLD_CALLBACK = {
    "gateway": "stripe",
    "event_id": "evt_1",
    "type": "payment_intent.canceled",
    "order_id": "order-1",
    "created_at": AT,
    "payment": None,
}
OLD_ROWS = """
    INSERT INTO orders (order_id, amount, currency, capture, metadata, customer_email, state)
    VALUES ('order-1', 4999, 'usd', 'manual', '{}', 'zoe@example.com', 'paid'),
           ('order-2', 1, 'usd', 'manual', '{}', NULL, 'open');
    INSERT INTO payments (order_id, payment_id, gateway, state, currency, amount, authorized,
                          captured, refunded, transaction_id, method, needs_attention)
    VALUES ('order-1', 'pay_1', 'stripe', 'partially_refunded', 'usd', 4999, 4999,
            4999, 999, 'pi_1', 'visa ending 4242', false),
           ('order-2', 'pay_2', 'stripe', 'initiated', 'usd', 1, 0, 0, 0, NULL, NULL, false);
"""


@pytest.fixture
async def upgraded(database_url: str, engine: AsyncEngine) -> PostgresRecords:
    """Records whose rows were written before the second migration."""
    config = alembic_config(database_url)
    await asyncio.to_thread(command.downgrade, config, "base")
    await asyncio.to_thread(command.upgrade, config, "2026_11_22_first")
    async with engine.begin() as connection:
        for statement in filter(str.strip, OLD_ROWS.split(";")):
            await connection.exec_driver_sql(statement)
        for number, fact in enumerate(OLD_FACTS):
            await connection.exec_driver_sql(
                "INSERT INTO payment_events (order_id, key, event, fact)"
                " VALUES ('order-1', %s, %s, %s)",
                (str(number), fact["event"], json.dumps(fact)),
            )
        await connection.exec_driver_sql(
            "INSERT INTO callbacks (gateway, event_id, type, order_id, event, created_at)"
            " VALUES ('stripe', 'evt_1', 'payment_intent.canceled', 'order-1', %s, %s)",
            (json.dumps(OLD_CALLBACK), AT),
        )
    await asyncio.to_thread(command.upgrade, config, "head")
    return PostgresRecords(engine, "stripe", KEYRING)


async def test_what_was_written_before_a_migration_is_there_after_it(
    upgraded: PostgresRecords,
) -> None:
    assert await upgraded.find_order("order-1") == Order(
        "order-1", Money(4999, "usd"), Capture.MANUAL, customer_email="zoe@example.com"
    )
    assert [fact.event for fact in await upgraded.facts("order-1")] == [
        fact["event"] for fact in OLD_FACTS
    ]
    payment = await upgraded.find_payment("order-1")
    assert payment is not None
    assert (payment.state, payment.refunded) == (State.PARTIALLY_REFUNDED, 999)
    assert await upgraded.find_order_paid_by("pi_1") == "order-1"
    [callback] = await upgraded.callbacks_to_deliver("order-1", 10)
    assert callback.event_id == "evt_1"

    listed = await upgraded.list_payments(Filter(), None, 10)
    assert {line.place.order_id for line in listed} == {"order-1", "order-2"}
    for methods, found in (([Method.DEBIT_CARD], ["order-1"]), ([Method.CREDIT_CARD], [])):
        by_method = await upgraded.list_payments(Filter(methods=methods), None, 10)
        assert [line.place.order_id for line in by_method] == found
    await upgraded.open_refund("order-1", "ref_2", 4000, None)


async def test_a_migration_taken_back_keeps_what_the_one_before_can_hold(
    upgraded: PostgresRecords, database_url: str, engine: AsyncEngine
) -> None:
    [ours] = await upgraded.callbacks_to_deliver("order-1", 10)
    foreign = replace(ours, event_id="evt_2", order_id="somebody-elses")
    await upgraded.keep_foreign_callback(foreign)
    await upgraded.open_refund("order-1", "ref_2", 4000, None)
    config = alembic_config(database_url)
    await asyncio.to_thread(command.downgrade, config, "2026_11_22_first")
    async with engine.connect() as connection:
        kept = await connection.execute(text("SELECT event_id FROM callbacks"))
        assert kept.scalars().all() == ["evt_1"]
        payments = await connection.execute(text("SELECT captured, refunded FROM payments"))
        assert {tuple(row) for row in payments} == {(4999, 999), (0, 0)}
        with pytest.raises(DBAPIError, match="check constraint"):
            await connection.execute(text("UPDATE payments SET refunded = captured + 1"))
