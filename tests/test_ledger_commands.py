"""`tillflow ledger …`, as an operator sees it."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from app.cli import app
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.money import Money
from app.domain.order import Capture, Order
from tests.conftest import environment_of
from tests.db.conftest import NOON

HELD = Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, 1, 4999, "pi_1")
CAPTURED = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
FEE = Fact(Event.FEE_CHARGED, NOON, Source.GATEWAY, amount=160, reference="txn_1", currency="eur")


async def _ledger(command: str, database_url: str) -> Result:
    settings = environment_of(database_url=database_url)
    # In a thread of its own: the command runs an event loop.
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(app, ["ledger", command], env=settings)
    )


async def _one_paid_one_held(records: PostgresRecords) -> None:
    for name, facts in (("order-1", [HELD, CAPTURED, FEE]), ("order-2", [HELD])):
        await records.open_order(Order(name, Money(4999, "usd"), Capture.AUTOMATIC))
        await records.append(name, facts)


async def test_the_balances_are_shown_by_account_and_currency(
    records: PostgresRecords, database_url: str
) -> None:
    await _one_paid_one_held(records)
    shown = await _ledger("balances", database_url)
    assert shown.exit_code == 0, shown.output
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["holds", "49.99", "USD"],
        ["authorizations", "-49.99", "USD"],
        ["gateway_balance", "-1.60", "EUR"],
        ["gateway_balance", "49.99", "USD"],
        ["sales", "-49.99", "USD"],
        ["fees", "1.60", "EUR"],
    ]


async def test_a_ledger_that_agrees_with_its_facts_is_right(
    records: PostgresRecords, database_url: str
) -> None:
    await _one_paid_one_held(records)
    checked = await _ledger("check", database_url)
    assert checked.exit_code == 0, checked.output
    assert checked.stdout == "2 orders, 0 differences\n"
    assert checked.stderr == "checked 2 orders\n"


async def test_what_differs_is_named_and_the_exit_code_says_so(
    records: PostgresRecords, database_url: str, engine: AsyncEngine
) -> None:
    await _one_paid_one_held(records)
    async with engine.begin() as connection:
        # As only a superuser could: past the trigger that keeps every entry in balance.
        await connection.execute(text("ALTER TABLE journal DISABLE TRIGGER balanced"))
        await connection.execute(
            text(
                "INSERT INTO journal (order_id, entry, account, currency, amount, at)"
                " VALUES ('order-1', 'of no fact', 'fees', 'eur', 40, now())"
            )
        )
    checked = await _ledger("check", database_url)
    assert checked.exit_code == 1
    assert checked.stdout.splitlines() == [
        "order-1: fees is 2.00 EUR, its facts say 1.60 EUR",
        "the sum in eur is 0.40 EUR, not zero",
        "2 orders, 2 differences",
    ]
