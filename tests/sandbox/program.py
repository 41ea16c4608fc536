"""The real program in a process of its own, and a real receiver of webhooks."""

import asyncio
import http.server
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import stripe
from stripe import V1Services

from app.embedded.ports import free_port

REPO = Path(__file__).resolve().parents[2]
KEY = "sk_test_sandbox"
SECRET = "whsec_of_the_tests"
VERSION = "2026-08-26.dahlia"
RETURN_URL = "https://shop.example/return"
_PATIENCE = 30.0

Json = dict[str, Any]


async def until(fulfilled: Callable[[], object], seconds: float = _PATIENCE) -> None:
    """Wait until something holds, and fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        holds = fulfilled()
        if await holds if inspect.isawaitable(holds) else holds:
            return
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


@dataclass
class Sandbox:
    """`python -m sandbox` with its database in `folder`; start, kill and start again."""

    folder: Path
    record: Path
    webhook_url: str | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Settings apart from the usual ones, from the next start on."""

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = self.folder / "sandbox.db"
        self.log = self.folder / "sandbox.log"
        self.http_client = stripe.HTTPXClient()
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30)
        self.stripe = self.stripe_client(VERSION)

    def stripe_client(self, version: str) -> V1Services:
        """The official client, pointed here."""
        client = stripe.StripeClient(
            KEY,
            base_addresses={"api": self.url},
            http_client=self.http_client,
            max_network_retries=0,
            stripe_version=version,
        )
        return client.v1

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        self._launch()
        assert self.process is not None
        deadline = time.monotonic() + _PATIENCE
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                await self.http.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.01)
            else:
                return

    def _launch(self) -> None:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "SANDBOX_DATABASE": str(self.database),
            "SANDBOX_PORT": str(self.port),
            "SANDBOX_RECORD": str(self.record),
            "SANDBOX_SETTLE_SECONDS": "0.2",
        }
        if self.webhook_url is not None:
            environment |= {
                "SANDBOX_WEBHOOK_URL": self.webhook_url,
                "SANDBOX_WEBHOOK_SECRET": SECRET,
            }
        environment |= self.environment
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "sandbox"],
                cwd=REPO,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """kill -9, at once."""
        self.stop(signal.SIGKILL)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process and return how it ended."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=_PATIENCE)

    async def close(self) -> None:
        if self.process is not None:
            self.stop()
        await self.http.aclose()
        await self.http_client.close_async()  # type: ignore[no-untyped-call]

    async def ledger(self, order_id: str) -> Json:
        """The ledger of one order: its payment intents, totals and counts."""
        answer = await self.http.get("/control/ledger", params={"order_id": order_id})
        body: Json = answer.json()
        return body

    async def control(self, what: str, **order: Any) -> Json:
        """Give an order to the control API."""
        answer = await self.http.post(f"/control/{what}", json=order)
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    async def events_of(self, intent_id: str) -> list[str]:
        """The types of the events about one payment intent, oldest first."""
        types: list[str] = []
        async for event in (await self.stripe.events.list_async({"limit": 100})).auto_paging_iter():
            about = event.to_dict()["data"]["object"]
            if intent_id in (about["id"], about.get("payment_intent")):
                types.append(event.type)
        return types[::-1]


@dataclass(frozen=True)
class Received:
    """One request that reached the receiver."""

    body: bytes
    signature: str

    @property
    def event(self) -> Json:
        event: Json = json.loads(self.body)
        return event


class Receiver:
    """A webhook endpoint on this machine. Set `status` to choose its answers."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(body, self.headers["Stripe-Signature"]))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def types(self, intent_id: str) -> list[str]:
        """The types of the events received about one payment intent, in order of arrival."""
        events = [received.event for received in list(self.received)]
        return [
            event["type"]
            for event in events
            if intent_id
            in (event["data"]["object"]["id"], event["data"]["object"].get("payment_intent"))
        ]


def payment(order_id: str, method: str = "pm_card_visa", **more: Any) -> Any:
    """The parameters of a payment of 10.00 USD, confirmed at once and captured later."""
    return {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "payment_method": method,
        "capture_method": "manual",
        "return_url": RETURN_URL,
        "metadata": {"order_id": order_id},
        **more,
    }
