"""The questions that are asked of all payments at once are answered from an index."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.reconciliation import PostgresReconciliations
from app.db.records import PostgresRecords
from app.domain.records import Filter, Place
from tests.db.conftest import NOON


@pytest.fixture
def asked(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that goes to the database, with its parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        statements.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def _plan(connection: AsyncConnection, statement: tuple[str, Any]) -> str:
    """How it is done where that pays, as in any table that has grown."""
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    words, parameters = statement
    rows = await connection.exec_driver_sql(f"EXPLAIN {words}", parameters)
    return "\n".join(rows.scalars())


async def test_whose_a_gateway_payment_is_is_found_without_reading_every_fact(
    records: PostgresRecords, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    await records.find_order_paid_by("pi_1")
    plan = await _plan(connection, asked[-1])
    assert "ix_payment_events_transaction" in plan


async def test_a_page_is_found_without_sorting_every_payment(
    records: PostgresRecords, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    await records.list_payments(Filter(), Place(NOON, "order-1"), 10)
    plan = await _plan(connection, asked[-1])
    assert "Backward using ix_payments_created_at_order_id" in plan
    assert "Sort" not in plan
    assert "Filter" not in plan


async def test_what_waits_is_found_order_by_order_without_reading_what_was_delivered(
    records: PostgresRecords, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    for ask in (
        lambda: records.orders_called_back("order-1", 10),
        lambda: records.callbacks_to_deliver("order-1", 10),
    ):
        await ask()
        plan = await _plan(connection, asked[-1])
        assert "ix_callbacks_waiting" in plan
        assert "Sort" not in plan


async def test_what_differs_is_found_without_reading_what_matches(
    engine: AsyncEngine, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    reconciliations = PostgresReconciliations(engine)
    for ask in (reconciliations.differences, reconciliations.unsettled):
        await ask("run-1", 0, 10)
        plan = await _plan(connection, asked[-1])
        assert "ix_reconciliation_findings_verdict" in plan


async def test_what_is_to_be_forgotten_is_found_without_reading_what_is_forgotten(
    records: PostgresRecords, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    await records.erase_personal_data(NOON, Place(NOON, "order-1"), 10)
    plan = await _plan(connection, asked[-1])
    assert "on ix_orders_personal" in plan or "using ix_orders_personal" in plan
    assert "Index Cond: ((created_at < " in plan


async def test_what_was_learnt_in_a_period_is_found_without_reading_every_fact(
    engine: AsyncEngine, connection: AsyncConnection, asked: list[tuple[str, Any]]
) -> None:
    await PostgresReconciliations(engine).unseen("run-1", "", 10)
    plan = await _plan(connection, asked[-1])
    assert "ix_payment_events_recorded_at" in plan
