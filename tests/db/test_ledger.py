"""The ledger in the database: written with the facts, always in balance, and checked by them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from alembic import command
from hypothesis import HealthCheck, given, seed, settings
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db import journal, ledger_check
from app.db.ledger_check import Difference
from app.db.migrate import alembic_config
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import GatewayMovement, MovementKind
from app.domain.ledger import Account
from app.domain.money import Money
from app.domain.order import Capture, Order
from tests.db.conftest import NOON
from tests.domain.histories import AMOUNT, histories

CAPTURED = Fact(Event.CAPTURED, NOON, Source.GATEWAY, amount=4999, reference="pi_1")
FEE = Fact(Event.FEE_CHARGED, NOON, Source.GATEWAY, amount=175, reference="txn_1", currency="usd")
PAYOUT = GatewayMovement("txn_9", MovementKind.PAYOUT, -4000, 0, "usd", NOON)


async def _balances(engine: AsyncEngine) -> dict[str, int]:
    there = await journal.balances(engine)
    assert {currency for _, currency in there} <= {"usd"}
    return {str(account): amount for (account, _), amount in there.items() if amount}


async def _entries(connection: AsyncConnection) -> list[str]:
    return list((await connection.execute(text("SELECT DISTINCT entry FROM journal"))).scalars())


async def _differences(engine: AsyncEngine) -> list[Difference]:
    return [found async for page in ledger_check.check(engine) for found in page.differences]


async def test_each_fact_is_journaled_once_however_often_it_is_told(
    records: PostgresRecords, order: Order, engine: AsyncEngine, connection: AsyncConnection
) -> None:
    await records.open_order(order)
    held = Fact(Event.AUTHORIZED, NOON, Source.GATEWAY, 1, 4999, "pi_1")
    await records.append(order.order_id, [held])
    assert await _balances(engine) == {"holds": 4999, "authorizations": -4999}
    for _ in range(2):
        await records.append(order.order_id, [CAPTURED, FEE])
        await records.open_refund(order.order_id, "ref_1", 999, None)
    assert await _balances(engine) == {
        "gateway_balance": 4824,
        "sales": -4999,
        "fees": 175,
        "refunds": 999,
        "refunds_in_transit": -999,
    }
    assert sorted(await _entries(connection)) == sorted(
        [held.key, CAPTURED.key, FEE.key, "refund_pending:ref_1:None"]
    )
    assert await _differences(engine) == []


async def test_a_fact_stands_only_together_with_what_it_posts(
    records: PostgresRecords, order: Order, engine: AsyncEngine
) -> None:
    await records.open_order(order)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO journal (order_id, entry, account, currency, amount, at) VALUES"
                " ('order-1', :key, 'sales', 'usd', -1, now()),"
                " ('order-1', :key, 'bank', 'usd', 1, now())"
            ),
            {"key": CAPTURED.key},
        )
    with pytest.raises(IntegrityError, match="journal_order_id_entry"):
        await records.append(order.order_id, [CAPTURED])
    assert [fact.event for fact in await records.facts(order.order_id)] == [Event.INITIATED]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("UPDATE journal SET amount = 0", "append-only"),
        ("DELETE FROM journal", "append-only"),
        ("TRUNCATE journal", "append-only"),
        (
            "INSERT INTO journal (entry, account, currency, amount, at)"
            " VALUES ('a', 'bank', 'usd', 5, now()), ('a', 'sales', 'usd', -4, now())",
            "entry a does not balance",
        ),
        (
            "INSERT INTO journal (entry, account, currency, amount, at)"
            " VALUES ('a', 'bank', 'usd', 5, now()), ('a', 'sales', 'eur', -5, now())",
            "entry a does not balance",
        ),
        (
            "INSERT INTO journal (entry, account, currency, amount, at)"
            " VALUES ('a', 'bank', 'usd', 5, now()), ('b', 'sales', 'usd', -5, now())",
            "entry . does not balance",
        ),
    ],
)
async def test_the_database_itself_keeps_the_journal_in_balance(
    paid: PostgresRecords, connection: AsyncConnection, change: str, refusal: str
) -> None:
    with pytest.raises(DBAPIError, match=refusal):
        await connection.execute(text(change))


async def test_a_payout_is_journaled_once_and_of_no_order(
    paid: PostgresRecords, engine: AsyncEngine
) -> None:
    back = replace(PAYOUT, movement_id="txn_10", amount=4000)
    await paid.keep_account_movements([])
    await paid.keep_account_movements([PAYOUT])
    await paid.keep_account_movements([PAYOUT])
    assert await _balances(engine) == {"gateway_balance": 999, "sales": -4999, "bank": 4000}
    await paid.keep_account_movements([PAYOUT, back])
    assert await _balances(engine) == {"gateway_balance": 4999, "sales": -4999}
    assert await _differences(engine) == []


async def test_what_else_moves_the_gateways_balance_is_journaled_too(
    paid: PostgresRecords, engine: AsyncEngine
) -> None:
    monthly = replace(PAYOUT, movement_id="txn_11", kind=MovementKind.FEE, amount=-200)
    odd = replace(PAYOUT, movement_id="txn_12", kind=MovementKind.OTHER, amount=-30)
    charge = replace(PAYOUT, movement_id="txn_13", kind=MovementKind.CHARGE, amount=4999, fee=175)
    for _ in range(2):
        await paid.keep_account_movements([monthly, odd, charge])
    assert await _balances(engine) == {
        "gateway_balance": 4769,
        "sales": -4999,
        "fees": 200,
        "adjustments": 30,
    }


async def test_a_payout_told_by_many_at_once_is_one(
    paid: PostgresRecords, engine: AsyncEngine
) -> None:
    await asyncio.gather(*(paid.keep_account_movements([PAYOUT]) for _ in range(10)))
    assert (await _balances(engine))["bank"] == 4000


async def test_the_check_names_what_the_journal_has_otherwise_than_the_facts(
    paid: PostgresRecords, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO payment_events (order_id, key, event, fact) VALUES"
                " ('order-1', 'unposted', 'fee_charged', '{\"event\": \"fee_charged\","
                ' "at": "2026-11-22T12:00:00Z", "source": "gateway", "amount": 175,'
                ' "reference": "txn_1", "currency": "eur"}\')'
            )
        )
        await connection.execute(
            text(
                "INSERT INTO journal (order_id, entry, account, currency, amount, at) VALUES"
                " ('order-1', 'of no fact', 'sales', 'usd', -1, now()),"
                " ('order-1', 'of no fact', 'gateway_balance', 'usd', 1, now())"
            )
        )
    assert await _differences(engine) == [
        Difference("order-1", Account.FEES, "eur", 175, 0),
        Difference("order-1", Account.GATEWAY_BALANCE, "eur", -175, 0),
        Difference("order-1", Account.GATEWAY_BALANCE, "usd", 4999, 5000),
        Difference("order-1", Account.SALES, "usd", -4999, -5000),
    ]


async def test_the_check_reads_every_order_a_page_at_a_time(
    records: PostgresRecords, order: Order, engine: AsyncEngine
) -> None:
    assert [page async for page in ledger_check.check(engine)] == []
    for number in range(5):
        await records.open_order(replace(order, order_id=f"order-{number}"))
    pages = [page.orders async for page in ledger_check.check(engine, at_a_time=2)]
    assert pages == [2, 2, 1]


async def test_a_fact_is_stored_without_what_it_does_not_tell(
    paid: PostgresRecords, connection: AsyncConnection
) -> None:
    stored = await connection.execute(
        text("SELECT fact FROM payment_events WHERE event = 'captured'")
    )
    assert set(stored.scalar_one()) == {"event", "at", "source", "amount", "reference"}
    looked_at = Fact(
        Event.ACKNOWLEDGED,
        NOON,
        Source.OPERATOR,
        reason="it is settled",
        actor="ada",
        acknowledged=("look here",),
    )
    await paid.append("order-1", [looked_at])
    assert (await paid.facts("order-1"))[-1] == looked_at


def _some_histories(count: int) -> list[list[Fact]]:
    """The same each time."""
    drawn: list[list[Fact]] = []

    @seed(1)
    @settings(
        max_examples=count, database=None, suppress_health_check=list(HealthCheck), deadline=None
    )
    @given(histories)
    def draw(history: list[Fact]) -> None:
        drawn.append(history)

    take: Callable[[], None] = draw
    take()
    return drawn


async def test_payments_from_before_the_ledger_are_its_opening_balances(
    records: PostgresRecords, engine: AsyncEngine, database_url: str, connection: AsyncConnection
) -> None:
    for number, history in enumerate(_some_histories(100)):
        order = Order(f"order-{number}", Money(AMOUNT, "usd"), Capture.MANUAL)
        await records.open_order(order)
        await records.append(order.order_id, history)
    before = await journal.balances(engine)
    assert await _differences(engine) == []

    config = alembic_config(database_url)
    await asyncio.to_thread(command.downgrade, config, "2026_11_23_gateway_in_full")
    await asyncio.to_thread(command.upgrade, config, "head")
    after = await journal.balances(engine)
    assert {place: amount for place, amount in after.items() if amount} == {
        place: amount for place, amount in before.items() if amount
    }
    assert await _differences(engine) == []
    assert await _entries(connection) == ["opening"]
