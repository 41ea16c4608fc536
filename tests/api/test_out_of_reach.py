"""Whatever is out of reach, every request is answered: 503 with Retry-After, or what is true."""

import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook
from temporalio.api.enums.v1 import EventType

from app.api.checkout import Checkout
from app.api.main import create_app
from app.db.records import PostgresRecords
from app.domain.facts import Event, Fact, PaymentMethod, Source
from app.domain.gateway import GatewayEvent
from app.domain.money import Money
from app.domain.order import Capture, Order
from app.temporal.names import payment_workflow_id
from app.wiring import build
from app.workflows.messages import AttemptInput
from tests.api.alone import api
from tests.api.problems import problem
from tests.conftest import settings_with
from tests.walk.running import by_token

# These ask nothing of the database.
WITHOUT_RECORDS = {"/healthz", "/readyz", "/metrics"}
BY = {"actor": "ada", "reason": "asked the bank"}
BODIES: dict[str, Any] = {
    "/api/payment/initiate": by_token("order-1"),
    "/api/payment/callback": {"order_id": "order-1", "status": "success"},
    "/api/payment/{order_id}/resolve": {"outcome": "look_again", **BY},
    "/api/payment/{order_id}/acknowledge": BY,
}
NOW = datetime.now(UTC)


def signed(body: Any) -> dict[str, Any]:
    """A callback in the generic form."""
    name = f"msg_{secrets.token_hex(8)}"
    content = json.dumps(body)
    secret = settings_with().callback_secret[0].get_secret_value()
    return {
        "content": content,
        "headers": {
            "webhook-id": name,
            "webhook-timestamp": str(int(datetime.now(UTC).timestamp())),
            "webhook-signature": Webhook(secret).sign(name, datetime.now(UTC), content),
        },
    }


def is_unavailable(answer: httpx.Response) -> None:
    problem(answer, 503, "service-unavailable")
    assert answer.headers["Retry-After"].isdigit()


def operations() -> list[tuple[str, str]]:
    """Every request that needs the database."""
    paths = create_app().openapi()["paths"]
    return [(how, path) for path in paths if path not in WITHOUT_RECORDS for how in paths[path]]


@pytest.fixture
async def no_connections(database_url: str) -> AsyncIterator[str]:
    """The database, by a user who may have no connection to it."""
    role = f"storefront_{secrets.token_hex(4)}"
    url = make_url(database_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as admin:
        await admin.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0".encode())
        yield url.set(username=role).render_as_string(hide_password=False)
        await admin.execute(f"DROP ROLE {role}".encode())


async def test_every_request_that_needs_the_database_is_told_to_come_back(
    no_connections: str,
) -> None:
    async with api(no_connections) as storefront:
        for how, path in operations():
            body = BODIES.get(path)
            sent = signed(body) if path == "/api/payment/callback" else {"json": body}
            where = path.format(order_id="order-1", refund_id="ref_1")
            is_unavailable(await storefront.request(how, where, **sent))


async def test_a_database_that_takes_no_writes_takes_no_callback(
    database_url: str, records: PostgresRecords, engine: AsyncEngine
) -> None:
    await records.open_order(Order("order-1", Money(4999, "usd")))
    read_only = 'ALTER DATABASE "{}" SET default_transaction_read_only = on'
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        name = make_url(database_url).database or ""
        await autocommit.exec_driver_sql(read_only.format(name))
    async with api(database_url) as storefront:
        sent = signed(BODIES["/api/payment/callback"])
        is_unavailable(await storefront.post("/api/payment/callback", **sent))
        assert (await storefront.get("/api/payment/order-1")).status_code == 200
    assert await records.waiting_callbacks(10) == []


async def test_with_temporal_away_callbacks_are_kept_and_nothing_else_is_promised(
    database_url: str, records: PostgresRecords
) -> None:
    await _held(records, "held")
    async with api(database_url) as storefront:
        for number in range(50):
            sent = signed({"order_id": "held", "status": "success", "transaction_id": str(number)})
            assert (await storefront.post("/api/payment/callback", **sent)).status_code == 200
        for what in ("capture", "cancel"):
            is_unavailable(await storefront.post(f"/api/payment/held/{what}"))
        shown = (await storefront.get("/api/callbacks/waiting")).json()["callbacks"]
    assert len(shown) == 50
    assert {told["order_id"] for told in shown} == {"held"}
    assert {(told["failures"], told["last_error"]) for told in shown} == {(0, None)}
    assert len(await records.callbacks_to_deliver("held", 100)) == 50


async def test_what_is_refused_again_and_again_is_shown_to_operators(
    database_url: str, records: PostgresRecords
) -> None:
    await _held(records, "held")
    event = GatewayEvent("generic", "evt_1", "success", "held", NOW)
    await records.take_callback(event)
    await records.callback_refused(event, "RPCError: too large")
    async with api(database_url) as storefront:
        [told] = (await storefront.get("/api/callbacks/waiting")).json()["callbacks"]
    assert (told["event_id"], told["type"], told["order_id"]) == ("evt_1", "success", "held")
    assert (told["failures"], told["last_error"]) == (1, "RPCError: too large")
    assert datetime.fromisoformat(told["next_try_at"]) > NOW


async def test_a_first_attempt_is_kept_also_where_its_workflow_was_there_before_it(
    database_url: str, temporal_address: str
) -> None:
    settings = settings_with(
        database_url=database_url,
        temporal_address=temporal_address,
        task_queue="nobody works here",
        initiate_wait_seconds=0.5,
    )
    parts = await build(settings)
    order = Order(f"kept-{secrets.token_hex(4)}", Money(4999, "usd"))
    await parts.records.open_order(order)
    await parts.starts.start_unattempted(parts.temporal, order)
    attempt = AttemptInput(1, "pm_card_visa", PaymentMethod("credit_card"))
    assert await Checkout(parts).attempt(order, attempt, under_way=False)
    workflow = parts.temporal.get_workflow_handle(payment_workflow_id(order.order_id))
    kept = [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in (await workflow.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    ]
    assert kept == ["attempt_requested"]
    await workflow.terminate()
    await parts.close()


async def _held(records: PostgresRecords, order_id: str) -> None:
    await records.open_order(Order(order_id, Money(4999, "usd"), Capture.MANUAL))
    held = Fact(Event.AUTHORIZED, NOW, Source.GATEWAY, attempt=1, amount=4999, reference="pi_1")
    await records.append(order_id, [held])
