"""All of Tillflow, running: one stack of real processes for the tests in `api`, `doors` and `walk`.

Tests keep apart by their order ids. What is broken is mended by the test that broke it.
"""

import asyncio
import hashlib
import hmac
import json
import resource
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks import Webhook
from temporalio.client import Client

from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.domain.money import Money
from app.domain.order import Order
from app.embedded.credentials import Credentials
from app.embedded.ports import HOST, Ports, free_port
from app.embedded.services import ApiPart
from app.embedded.stack import Stack
from chaos.unlimited import UNLIMITED
from tests.walk.cards import canary

Json = dict[str, Any]
CALLBACK = "/api/payment/callback"
INITIATE = "/api/payment/initiate"
DESCRIPTION = "/openapi.json"
RETURN_URL = "https://shop.example.com/back"
MANDATE = {"ip_address": "203.0.113.7", "user_agent": "Browser/1.0"}
PATIENCE = 90.0
PLANTED = "4001956779790496"
"""A card number that every process of the stack has in its environment."""


class AnotherApi(ApiPart):
    """One more API on the same stack."""

    name = "another api"


# For each connection: one that was kept may be to a server that was killed since.
_ONE_REQUEST = httpx.Limits(max_keepalive_connections=0)


class Running:
    """The stack, the storefront's view of it, and the sandbox's own judgement."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.credentials = Credentials.kept_in(stack.folder)
        self.answers = bytearray()
        """Every byte that the API said to anyone here, but for its description: that holds an
        example card."""
        self.shop = self.storefront(stack.api_url)
        # trust_env=False: a proxy set for the outside world is not for 127.0.0.1.
        self.sandbox = httpx.AsyncClient(
            base_url=stack.sandbox.url, trust_env=False, timeout=20, limits=_ONE_REQUEST
        )

    def storefront(self, url: str, key: str | None = DEVELOPMENT_API_KEY) -> httpx.AsyncClient:
        """A client of the API at `url`."""

        async def note(response: httpx.Response) -> None:
            if response.url.path != DESCRIPTION:
                self.answers += str(response.headers).encode() + await response.aread()

        return httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key is not None else {},
            trust_env=False,
            timeout=40,
            limits=_ONE_REQUEST,
            event_hooks={"response": [note]},
        )

    @asynccontextmanager
    async def another_api(self, **settings: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client of one more API on the same stack, with other settings."""
        port = free_port()
        part = AnotherApi(
            f"http://{HOST}:{port}",
            port,
            {**self.stack.api.environment(), "API_PORT": str(port), **settings},
        )
        await self.stack.supervisor.start(part)
        try:
            async with self.storefront(part.url) as client:
                yield client
        finally:
            await self.kill(part.name)

    async def close(self) -> None:
        await self.shop.aclose()
        await self.sandbox.aclose()

    # Down and up.

    async def kill(self, *parts: str) -> None:
        """kill -9, all at once; they stay down."""
        await asyncio.gather(*(self.stack.supervisor.kill(part) for part in parts))

    async def revive(self, *parts: str) -> None:
        """One after the other, in the order given."""
        for part in parts:
            await self.stack.supervisor.revive(part)

    @asynccontextmanager
    async def without(self, *parts: str) -> AsyncIterator[None]:
        """While these parts are killed."""
        await self.kill(*parts)
        try:
            yield
        finally:
            await self.revive(*parts)

    # The storefront's side.

    async def initiate(self, body: Json, **more: Any) -> httpx.Response:
        return await self.shop.post(INITIATE, json=body, **more)

    async def taken_on(self, body: Json, shop: httpx.AsyncClient | None = None) -> Json:
        """What a request to pay is told that is not turned down."""
        answer = await (shop or self.shop).post(INITIATE, json=body)
        assert answer.status_code == 200, answer.text
        told: Json = answer.json()
        return told

    async def place_only(self, order_id: str) -> None:
        """Leave an order as an API does that is killed before it starts the payment."""
        engine = create_engine(self.stack.postgres.url)
        records = PostgresRecords(engine, "stripe", self.stack.keyring())
        await records.open_order(Order(order_id, Money(4999, "usd")))
        await engine.dispose()

    async def until_ready(self) -> None:
        """Wait until the API reaches every part again."""

        async def ready() -> bool:
            return (await self.shop.get("/readyz")).status_code == 200

        await eventually(ready)

    async def paid(self, name: str, method: str = "pm_card_visa", **more: Any) -> str:
        """An order of 49.99 that is paid and fulfilled."""
        order_id = new_order(name)
        await self.taken_on(by_token(order_id, method, **more))
        await self.until(order_id)
        return order_id

    async def ask(
        self, order_id: str, what: str, key: str | None = None, **body: Any
    ) -> httpx.Response:
        """Ask for a capture, to cancel, or for refunds."""
        headers = {"Idempotency-Key": key} if key is not None else {}
        return await self.shop.post(f"/api/payment/{order_id}/{what}", json=body, headers=headers)

    async def description(self) -> Json:
        """The API's own."""
        said: Json = (await self.shop.get(DESCRIPTION)).json()
        return said

    async def read(self, order_id: str) -> Json:
        """The order as the API tells it; waits while something it needs is on its way back."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    answer = await self.shop.get(f"/api/payment/{order_id}")
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code != 503:
                    assert answer.status_code == 200, answer.text
                    read: Json = answer.json()
                    return read
                await asyncio.sleep(0.1)

    async def until(self, order_id: str, **wanted: str) -> Json:
        """Wait until the order tells all of `wanted`, by default that it is fulfilled."""
        wanted = wanted or {"order_status": "fulfilled"}
        order: Json = {}

        async def told() -> bool:
            nonlocal order
            order = await self.read(order_id)
            return wanted.items() <= order.items()

        try:
            await eventually(told)
        except TimeoutError:
            raise AssertionError(f"{order_id} is not {wanted}: {order}") from None
        return order

    async def worrying(self, order_id: str) -> Json:
        """Wait until the order needs somebody's attention."""
        order: Json = {}

        async def told() -> bool:
            nonlocal order
            order = await self.read(order_id)
            return bool(order["needs_attention"])

        await eventually(told)
        return order

    # The gateway's side.

    async def shopper_answers(self, told: Json, outcome: str = "approve") -> httpx.Response:
        """The shopper presses a button on the page that they are sent to."""
        assert told["status"] == "requires_action"
        page = told["next_action"]["url"]
        return await self.sandbox.post(page, data={"outcome": outcome})

    async def at_the_gateway(self, method: str, path: str, **form: Any) -> Json:
        """What somebody does in the gateway's dashboard, or another program with its key."""
        key = self.credentials.stripe_api_key
        answer = await self.sandbox.request(
            method,
            path,
            data=form if method == "POST" else None,
            params=form if method == "GET" else None,
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said

    async def control(self, what: str, **order: Any) -> Json:
        answer = await self.sandbox.post(f"/control/{what}", json=order)
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said

    @asynccontextmanager
    async def deliveries_held(self) -> AsyncIterator[None]:
        """While the gateway keeps its callbacks to itself."""
        await self.control("deliveries", mode="hold")
        try:
            yield
        finally:
            await self.control("deliveries", mode="deliver")

    async def until_hit(self, faults_left: int = 0) -> None:
        """Wait until the sandbox's faults have been met."""

        async def met() -> bool:
            waiting = (await self.sandbox.get("/control/faults")).json()["faults"]
            return len(waiting) <= faults_left

        await eventually(met)

    async def ledger(self, order_id: str) -> Json:
        answer = await self.sandbox.get("/control/ledger", params={"order_id": order_id})
        said: Json = answer.json()
        return said

    async def money(self, order_id: str, currency: str = "usd") -> Json:
        """What the gateway did with the order's money altogether, in minor units."""
        sums: Json = (await self.ledger(order_id))["totals"][currency]
        return sums

    async def charged_once(self, order_id: str, amount: int = 4999) -> None:
        """One payment at the gateway, held once, taken once, nothing given back."""
        ledger = await self.ledger(order_id)
        assert ledger["orders"][order_id] == {
            "payment_intents": 1,
            "authorizations": 1,
            "captures": 1,
            "refunds": 0,
        }
        assert [intent["captured"] for intent in ledger["payment_intents"]] == [amount]

    async def never_charged(self, order_id: str) -> None:
        """The gateway neither holds nor took money for the order."""
        for intent in (await self.ledger(order_id))["payment_intents"]:
            assert intent["captured"] == intent["authorized"] - intent["released"] == 0

    def signed(
        self,
        body: Json | bytes,
        *,
        message_id: str | None = None,
        at: float | None = None,
        secret: str | None = None,
    ) -> tuple[bytes, dict[str, str]]:
        """A callback in the generic form, and the headers that sign it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        moment = datetime.fromtimestamp(at if at is not None else time.time(), UTC)
        message_id = message_id or f"msg_{secrets.token_hex(8)}"
        signature = Webhook(secret or self.credentials.callback_secret).sign(
            message_id, moment, content.decode("latin-1")
        )
        return content, {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
            "content-type": "application/json",
        }

    async def hint(self, order_id: str, **more: Any) -> httpx.Response:
        """A signed generic callback that says `success`."""
        body = {
            "order_id": order_id,
            "status": "success",
            "transaction_id": "txn-98765",
            "payment_method": "credit_card",
        }
        content, headers = self.signed(body, **more)
        return await self.shop.post(CALLBACK, content=content, headers=headers)

    async def stripe_event(
        self, event: Json | bytes, *, at: float | None = None, secret: str | None = None
    ) -> httpx.Response:
        """An event, signed as Stripe signs."""
        content = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed_at = int(at if at is not None else time.time())
        key = (secret or self.credentials.stripe_webhook_secret).encode()
        digest = hmac.new(key, b"%d." % signed_at + content, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={signed_at},v1={digest}"}
        return await self.shop.post(CALLBACK, content=content, headers=headers)

    # The insides.

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of our database."""
        url = self.stack.postgres.url.replace("+psycopg", "")
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await (await connection.execute(sql.encode(), values)).fetchall()

    async def callbacks_delivered(self, order_id: str) -> None:
        """Wait until the inbox holds nothing of the order that was not delivered."""

        async def delivered() -> bool:
            return not [event for event, when, _ in await self.inbox(order_id) if when is None]

        await eventually(delivered)

    async def inbox(self, order_id: str) -> list[tuple[Any, ...]]:
        """The order's callbacks: event id, when it was delivered, and what became of it."""
        return await self.query(
            "SELECT event_id, delivered_at, outcome FROM callbacks WHERE order_id = %s ORDER BY id",
            order_id,
        )

    async def shipped(self, order_id: str) -> bool:
        """Whether the warehouse is to send it."""
        sent = "SELECT 1 FROM shipments WHERE order_id = %s AND canceled_at IS NULL"
        return await self.query(sent, order_id) != []

    async def on_the_shelf(self) -> int:
        """How many of the sample article can be sold."""
        [(left,)] = await self.query("SELECT available FROM stock WHERE sku = 'sample-mug'")
        assert isinstance(left, int)
        return left

    async def temporal(self) -> Client:
        return await self.stack.temporal_client()

    async def at_rest(self, order_id: str) -> None:
        """Wait until the payment's workflow has nothing left to do but to wait."""
        workflow = (await self.temporal()).get_workflow_handle(f"payment-{order_id}")

        async def rests() -> bool:
            told = (await workflow.describe()).raw_description
            return not told.pending_activities and not told.HasField("pending_workflow_task")

        await eventually(rests)

    def mails(self, order_id: str) -> list[str]:
        """The mails about the order, whole."""
        folder = self.stack.mail.maildir / "new"
        texts = [file.read_text() for file in folder.iterdir()] if folder.exists() else []
        return [text for text in texts if f"order {order_id}" in text]


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until it is true; TimeoutError when it does not become true."""
    async with asyncio.timeout(PATIENCE):
        while not await true():  # noqa: ASYNC110 - nobody outside sets an event for us
            await asyncio.sleep(0.05)


def new_order(name: str = "order") -> str:
    return f"{name}-{secrets.token_hex(4)}"


def request(order_id: str, **more: Any) -> Json:
    """What a storefront sends to have an order of 49.99 paid with a card of its own."""
    return {
        "order_id": order_id,
        "payment_method": "credit_card",
        "amount": 49.99,
        "credit_card": card(canary()),
        **more,
    }


def by_token(order_id: str, method: str = "pm_card_visa", **more: Any) -> Json:
    """The same with a token of the gateway's in place of the card."""
    return {
        "order_id": order_id,
        "payment_method": "credit_card",
        "amount": 49.99,
        "payment_method_token": method,
        **more,
    }


def card(number: str) -> Json:
    return {"number": number, "expiry_month": "12", "expiry_year": "30", "cvv": "123"}


@pytest.fixture(scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory, record: Path) -> AsyncIterator[Running]:
    """The stack, started when the first test asks for it."""
    folder = tmp_path_factory.mktemp("running")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SANDBOX_RECORD", str(record))
        environment.setenv("PLANTED", PLANTED)
        environment.setenv("INITIATE_WAIT_SECONDS", "4")  # half of what a storefront waits
        for name, value in UNLIMITED.items():
            environment.setenv(name, value)
        async with Stack(folder, Ports.free(), lambda _line: None) as stack:
            files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, most), most))  # as is usual
            await stack.start()
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
            running = Running(stack)
            yield running
            await running.close()
