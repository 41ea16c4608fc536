"""Who the shopper is: sealed in the database, each value in its own place, and erased in time."""

import asyncio
import os
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs
from typer.testing import CliRunner

from app.cli import app
from app.db import ledger_check
from app.db.records import PostgresRecords
from app.db.rotation import key_ids
from app.domain.facts import Event, Fact, Source
from app.domain.order import Mandate, Order
from app.domain.records import Place, RecordsUnavailableError
from app.domain.unknown import Operation, UnknownOutcome
from app.keyring import Keyring
from tests.conftest import environment_of
from tests.db.conftest import NOON

OLD, NEW = (f"{name}:{b64encode(os.urandom(32)).decode()}" for name in ("2026-01", "2026-11"))
MANDATE = Mandate("192.0.2.7", "a browser")
IN_CLEAR = ("shopper@example.com", "192.0.2.7", "a browser")


@pytest.fixture
def order(order: Order) -> Order:
    """With all that tells of a shopper."""
    return replace(order, mandate=MANDATE)


def _records(engine: AsyncEngine, keys: str) -> PostgresRecords:
    return PostgresRecords(engine, "stripe", Keyring.parse(keys))


async def _rows(connection: AsyncConnection) -> str:
    """All that the orders' rows hold."""
    await connection.rollback()
    return "\n".join((await connection.scalars(text("SELECT orders::text FROM orders"))).all())


async def _change(connection: AsyncConnection, statement: str) -> None:
    assert (await connection.execute(text(statement))).rowcount > 0
    await connection.commit()


async def test_no_row_tells_who_the_shopper_is(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await records.open_order(replace(order, mandate=None))
    await records.accept_mandate("order-1", MANDATE)
    rows = await _rows(connection)
    assert "customer-1" in rows
    assert not [text for text in IN_CLEAR if text in rows]
    assert await records.find_order("order-1") == order


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE orders SET sealed_email = (SELECT sealed_email FROM orders"
        " WHERE order_id = 'order-2') WHERE order_id = 'order-1'",
        "UPDATE orders SET sealed_email = sealed_mandate",
        "UPDATE orders SET sealed_email = 'tests:' || 'AAAA'",
        "UPDATE orders SET sealed_email = 'tests:*'",
        "UPDATE orders SET sealed_email = 'shopper@example.com'",
    ],
)
async def test_what_was_moved_or_altered_is_not_taken_for_the_shoppers(
    records: PostgresRecords, connection: AsyncConnection, order: Order, move: str
) -> None:
    for name in ("order-1", "order-2"):
        await records.open_order(replace(order, order_id=name))
    await _change(connection, move)
    with pytest.raises(RecordsUnavailableError):
        await records.find_order("order-1")
    with pytest.raises(RecordsUnavailableError):
        await records.open_order(order)


async def test_without_the_key_the_log_names_it_and_the_money_goes_on(
    engine: AsyncEngine, order: Order
) -> None:
    await _records(engine, NEW).open_order(order)
    without = _records(engine, OLD)
    with capture_logs() as logs, pytest.raises(RecordsUnavailableError):
        await without.find_order("order-1")
    assert [(line["log_level"], line["error"]) for line in logs] == [
        ("error", "the key 2026-11 is not in ENCRYPTION_KEYS")
    ]
    captured = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
    paid = await without.append("order-1", [captured])
    assert paid.captured == 4999
    assert await without.find_payment("order-1") == paid


async def _written_in_clear(connection: AsyncConnection) -> None:
    """As an order of before there were sealed columns."""
    clear = (
        "UPDATE orders SET sealed_email = NULL, sealed_mandate = NULL,"
        " customer_email = 'shopper@example.com',"
        """ mandate = '{"ip_address": "192.0.2.7", "user_agent": "a browser"}'"""
    )
    await connection.exec_driver_sql(clear)
    await connection.commit()


async def test_what_was_written_in_clear_is_read_and_sealed_when_it_changes(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await records.open_order(order)
    await _written_in_clear(connection)
    assert await records.find_order("order-1") == order
    await records.accept_mandate("order-1", MANDATE)
    rows = await _rows(connection)
    assert not [text for text in IN_CLEAR if text in rows]
    assert await records.find_order("order-1") == order


async def _rotated(database_url: str, keys: str) -> str:
    """What `tillflow data rotate` prints."""
    settings = environment_of(database_url=database_url, encryption_keys=keys)
    # In a thread of its own: the command runs an event loop.
    done = await asyncio.to_thread(
        lambda: CliRunner().invoke(app, ["data", "rotate"], env=settings)
    )
    if done.exception is not None:
        raise done.exception
    return done.stdout


async def test_after_a_rotation_the_old_key_can_be_taken_away(
    engine: AsyncEngine, connection: AsyncConnection, database_url: str, order: Order
) -> None:
    before = _records(engine, OLD)
    await before.open_order(order)
    await _written_in_clear(connection)
    for number in range(2, 252):  # more than a page
        mandate = MANDATE if number % 2 else None
        await before.open_order(replace(order, order_id=f"order-{number}", mandate=mandate))
    told = "251 orders encrypted anew; all are under the key 2026-11\n"
    assert await key_ids(engine) == {"2026-01": 250}
    assert await _rotated(database_url, f"{NEW},{OLD}") == told
    assert await key_ids(engine) == {"2026-11": 251}
    assert "0 orders" in await _rotated(database_url, f"{NEW},{OLD}")

    rows = await _rows(connection)
    assert not [text for text in (*IN_CLEAR, "2026-01") if text in rows]
    after = _records(engine, NEW)
    assert await after.find_order("order-1") == order
    assert await after.find_order("order-250") == replace(order, order_id="order-250", mandate=None)


async def test_a_rotation_without_the_old_key_says_which_one_is_missing(
    engine: AsyncEngine, database_url: str, order: Order
) -> None:
    await _records(engine, OLD).open_order(order)
    with pytest.raises(RecordsUnavailableError, match="the key 2026-01 is not in ENCRYPTION_KEYS"):
        await _rotated(database_url, NEW)
    assert await _records(engine, OLD).find_order("order-1") == order


# Retention.

HELD = Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, 1, 4999, "pi_1")
CAPTURED = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
FULFILLED = Fact(Event.FULFILLED, NOON, Source.WORKFLOW)
CANCELED = Fact(Event.CANCELED, NOON, Source.WORKFLOW)
REFUND = Fact(Event.REFUNDED, NOON, Source.GATEWAY, amount=4999, reference="re_1")
PENDING = replace(REFUND, event=Event.REFUND_PENDING, refund="ref_1", reference=None)
DISPUTE = Fact(Event.DISPUTED, NOON, Source.CALLBACK, amount=4999, reference="dp_1")
LOST = replace(DISPUTE, event=Event.DISPUTE_LOST)

OVER = {
    "fulfilled": [HELD, CAPTURED, FULFILLED],
    "expired": [Fact(Event.EXPIRED, NOON, Source.WORKFLOW)],
    "canceled": [HELD, CANCELED, Fact(Event.VOIDED, NOON, Source.GATEWAY, reference="pi_1")],
    "given-back": [HELD, CAPTURED, FULFILLED, REFUND],
    "charged-back": [HELD, CAPTURED, FULFILLED, DISPUTE, LOST],
}
NOT_OVER: dict[str, list[Fact]] = {
    "open": [],
    "held": [HELD],
    "paid": [HELD, CAPTURED],
    "disputed": [HELD, CAPTURED, FULFILLED, DISPUTE],
    "on-its-way-back": [HELD, CAPTURED, FULFILLED, PENDING],
    "unknown": [HELD, CAPTURED, FULFILLED],
}
_LONG_AGO = "UPDATE {table} SET {column} = now() - interval '181 days'"


@pytest.fixture
async def year(
    records: PostgresRecords, connection: AsyncConnection, order: Order
) -> PostgresRecords:
    """Orders of every kind, without news for half a year; and one that is as old, with news of
    yesterday."""
    for name, facts in {**OVER, **NOT_OVER, "heard-of": OVER["fulfilled"]}.items():
        await records.open_order(replace(order, order_id=name))
        await records.append(name, facts)
    await records.note_unknown("unknown", UnknownOutcome(Operation.CAPTURE, NOON, NOON))
    for table, column in (("orders", "created_at"), ("payments", "updated_at")):
        await connection.execute(text(_LONG_AGO.format(table=table, column=column)))
    yesterday = "UPDATE payments SET updated_at = now() - interval '1 day' WHERE order_id = '{}'"
    await _change(connection, yesterday.format("heard-of"))
    return records


async def _erase(records: PostgresRecords, connection: AsyncConnection) -> list[str]:
    before = await connection.scalar(text("SELECT now() - interval '180 days'"))
    await connection.rollback()
    erased: list[str] = []
    after: Place | None = None
    while page := await records.erase_personal_data(before, after, 2):
        erased += [place.order_id for place in page]
        after = page[-1]
    return erased


async def test_orders_that_are_over_are_forgotten_and_no_others(
    year: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    names = [*OVER, *NOT_OVER, "heard-of"]
    figures = {name: await year.find_payment(name) for name in names}
    stories = {name: await year.facts(name) for name in names}
    assert sorted(await _erase(year, connection)) == sorted(OVER)
    assert await _erase(year, connection) == []
    forgotten = replace(order, customer_email=None, mandate=None)
    for name in names:
        kept = forgotten if name in OVER else order
        assert await year.find_order(name) == replace(kept, order_id=name)
        assert await year.find_payment(name) == figures[name]
        assert await year.facts(name) == stories[name]


async def test_the_ledger_is_as_right_afterwards(
    year: PostgresRecords, connection: AsyncConnection, engine: AsyncEngine
) -> None:
    await _erase(year, connection)
    pages = [page async for page in ledger_check.check(engine)]
    assert sum(page.orders for page in pages) == len(OVER) + len(NOT_OVER) + 1
    assert [found for page in pages for found in page.differences] == []


async def test_what_comes_after_that_is_booked_as_ever(
    year: PostgresRecords, connection: AsyncConnection
) -> None:
    await _erase(year, connection)
    late = replace(DISPUTE, at=NOON + timedelta(days=200))
    assert (await year.append("fulfilled", [late])).disputed == 4999


async def test_what_stands_in_clear_is_forgotten_too(
    year: PostgresRecords, connection: AsyncConnection
) -> None:
    await _written_in_clear(connection)
    assert "fulfilled" in await _erase(year, connection)
    row = await connection.execute(
        text("SELECT orders::text FROM orders WHERE order_id = 'fulfilled'")
    )
    told = row.scalar_one()
    assert not [text for text in IN_CLEAR if text in told]
