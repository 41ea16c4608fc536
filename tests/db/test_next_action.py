"""What the shopper has to do next opens the payment at the gateway: the database has it sealed."""

import os
from base64 import b64encode
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from app.db import ledger_check
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, NextAction, Source
from app.domain.gateway import GatewayEvent, GatewayPayment, Status
from app.domain.order import Order
from app.domain.payment import State
from app.keyring import Keyring
from tests.db.conftest import NOON

ACTION = NextAction("use_gateway_sdk", "https://bank.example/page-1", "pi_1_secret_abc")
ASKED = Fact(Event.ACTION_REQUIRED, NOON, Source.GATEWAY, 1, reference="pi_1", next_action=ACTION)
HELD = Fact(Event.AUTHORIZED, NOON, Source.CALLBACK, 1, 4999, "pi_1")
ANOTHER = Keyring.parse(f"another:{b64encode(os.urandom(32)).decode()}")


@pytest.fixture
async def asked(records: PostgresRecords, order: Order) -> PostgresRecords:
    """The records, with an order whose shopper must do something."""
    await records.open_order(order)
    await records.append("order-1", [ASKED])
    return records


async def _kept(connection: AsyncConnection) -> str:
    """All that the rows of facts and of the inbox hold."""
    facts = await connection.scalars(text("SELECT payment_events::text FROM payment_events"))
    events = await connection.scalars(text("SELECT callbacks::text FROM callbacks"))
    return "\n".join([*facts, *events])


async def test_no_row_tells_what_the_shopper_has_to_do(
    asked: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    seen = GatewayPayment(
        "pi_1", "order-1", Status.REQUIRES_ACTION, order.amount, next_action=ACTION
    )
    event = GatewayEvent("stripe", "evt_1", "requires_action", "order-1", NOON, seen)
    await asked.take_callback(event)
    rows = await _kept(connection)
    assert "evt_1" in rows
    assert "bank.example" not in rows
    assert "secret_abc" not in rows
    [_, told] = await asked.facts("order-1")
    assert told == ASKED
    payment = await asked.find_payment("order-1")
    assert payment is not None
    assert payment.attempts[1].next_action == ACTION


async def test_what_stands_there_in_clear_from_before_is_read(
    asked: PostgresRecords, connection: AsyncConnection
) -> None:
    await connection.execute(
        text(
            "INSERT INTO payment_events (order_id, key, event, fact) VALUES ('order-1', 'old',"
            """ 'action_required', '{"event": "action_required", "at": "2026-11-01T00:00:00Z","""
            """ "source": "gateway", "attempt": 2,"""
            """ "next_action": {"type": "redirect", "url": "https://bank.example/old"}}')"""
        )
    )
    await connection.commit()
    [*_, old] = await asked.facts("order-1")
    assert old.next_action == NextAction("redirect", "https://bank.example/old")


async def test_without_its_key_the_money_goes_on_without_it(
    asked: PostgresRecords, engine: AsyncEngine
) -> None:
    without = PostgresRecords(engine, "stripe", ANOTHER)
    with capture_logs() as logs:
        payment = await without.append("order-1", [HELD])
        assert (payment.state, payment.authorized) == (State.AUTHORIZED, 4999)
        assert payment.attempts[1].next_action is None
        [page] = [page async for page in ledger_check.check(engine)]
    assert page.differences == []
    assert logs == []


async def test_it_is_of_no_use_to_another_order(
    asked: PostgresRecords, connection: AsyncConnection, order: Order
) -> None:
    await asked.open_order(replace(order, order_id="order-2"))
    await connection.execute(
        text(
            "INSERT INTO payment_events (order_id, key, event, fact)"
            " SELECT 'order-2', key, event, fact FROM payment_events WHERE key LIKE 'action_%'"
        )
    )
    await connection.commit()
    with capture_logs() as logs:
        [_, moved] = await asked.facts("order-2")
    assert moved.next_action is None
    assert [(line["event"], line["order_id"]) for line in logs] == [
        ("next action unreadable", "order-2")
    ]
