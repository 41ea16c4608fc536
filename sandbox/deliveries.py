"""Sending events to webhook endpoints: signed, repeated until accepted, never on the request path.

What is still to be sent is in the store, so it is sent after a crash and a restart too.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import random
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from sandbox.clock import Clock
from sandbox.context import Context
from sandbox.events import current
from sandbox.store import Json

_AT_ONCE = 8
_TIMEOUT = 10.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_PATIENCE = 3 * 24 * 3600.0
_IDLE = 60.0
_MODE = "delivery_mode"
_DUE = """
SELECT id, event, endpoint FROM deliveries WHERE state = 'pending' AND next_at <= ?
ORDER BY id LIMIT ?
"""
_DUE_SHUFFLED = _DUE.replace("ORDER BY id", "ORDER BY random()")
_random = random.SystemRandom()


class Mode(BaseModel):
    """How events leave: at once, not at all for now, never, each several times, or out of order.

    `times` is for repeat: how often each event is sent. `seconds` is for shuffle: how long events
    are gathered before one of them is picked at random.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Literal["deliver", "hold", "drop", "repeat", "shuffle"] = "deliver"
    times: int = Field(default=2, ge=2, le=20)
    seconds: float = Field(default=0.5, ge=0, le=60)


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """The Stripe-Signature header for a body sent at `timestamp` (seconds since 1970)."""
    signed = hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={signed}"


class Deliveries:
    """The background sender. It and the request handlers share one thread and one connection."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._db = context.store.db
        self._clock: Clock = context.clock
        self._sending: dict[int, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self.mode = Mode.model_validate_json(context.store.meta(_MODE) or "{}")

    def wake(self) -> None:
        """Look for something to send now."""
        self._wake.set()

    def set_mode(self, mode: Mode) -> None:
        """Change how events leave, until changed again, restarts included."""
        self.mode = mode
        self._context.store.set_meta(_MODE, mode.model_dump_json())
        if mode.mode == "deliver":
            self.retry_now()
        self.wake()

    def retry_now(self) -> None:
        """Cut every pause short."""
        self._db.execute(
            "UPDATE deliveries SET next_at = ? WHERE state = 'pending' AND next_at > ?",
            (self._clock.now(), self._clock.now()),
        )

    def counts(self) -> Json:
        """How many deliveries are pending, delivered, dropped or given up."""
        states: Json = dict.fromkeys(("pending", "delivered", "dropped", "given_up"), 0)
        rows = self._db.execute("SELECT state, count(*) FROM deliveries GROUP BY state")
        return states | dict(rows.fetchall())

    async def run(self) -> None:
        """Send for ever; cancelling it cancels what is under way, which is then sent again."""
        # The environment's proxies are for the outside world; endpoints are on this machine.
        async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:
            try:
                while True:
                    self._wake.clear()
                    pause = self._start_due(client)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
            finally:
                for task in self._sending.values():
                    task.cancel()
                await asyncio.gather(*self._sending.values(), return_exceptions=True)

    def _start_due(self, client: httpx.AsyncClient) -> float:
        """Start what is due and may start; the seconds until something else may be due."""
        now = self._clock.now()
        if self.mode.mode == "hold":
            return _IDLE
        if self.mode.mode == "drop":
            self._db.execute("UPDATE deliveries SET state = 'dropped' WHERE state = 'pending'")
            return _IDLE
        shuffled = self.mode.mode == "shuffle"
        gathering = self.mode.seconds if shuffled else 0.0
        room = (1 if shuffled else _AT_ONCE) - len(self._sending)
        if room <= 0:
            return _IDLE
        rows = self._db.execute(
            _DUE_SHUFFLED if shuffled else _DUE, (now - gathering, room + len(self._sending))
        ).fetchall()
        for delivery_id, event_id, endpoint_id in rows:
            if delivery_id not in self._sending:
                task = asyncio.create_task(self._send(client, delivery_id, event_id, endpoint_id))
                self._sending[delivery_id] = task
        (soonest,) = self._db.execute(
            "SELECT min(next_at) FROM deliveries WHERE state = 'pending' AND next_at > ?",
            (now - gathering,),
        ).fetchone()
        return _IDLE if soonest is None else min(_IDLE, max(0.0, soonest + gathering - now))

    async def _send(
        self, client: httpx.AsyncClient, delivery_id: int, event_id: str, endpoint_id: str
    ) -> None:
        try:
            endpoint = self._context.store.find("webhook_endpoint", endpoint_id)
            if endpoint is None or endpoint.body["status"] != "enabled":
                self._finish(delivery_id, "dropped")
                return
            event = current(self._context, self._context.get("event", event_id).body)
            event["api_version"] = endpoint.body["api_version"] or event["api_version"]
            body = json.dumps(event).encode()
            times = self.mode.times if self.mode.mode == "repeat" else 1
            for _ in range(times):
                accepted = await self._post(client, endpoint.body["url"], body, endpoint.private)
            if accepted:
                self._finish(delivery_id, "delivered")
            else:
                self._postpone(delivery_id)
        finally:
            del self._sending[delivery_id]
            self.wake()

    async def _post(self, client: httpx.AsyncClient, url: str, body: bytes, private: Json) -> bool:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(private["secret"], body, self._clock.wall()),
            "User-Agent": "Sandbox/1.0",
        }
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await client.post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return False
        return answer.is_success

    def _finish(self, delivery_id: int, state: str) -> None:
        self._db.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1 WHERE id = ?",
            (state, delivery_id),
        )

    def _postpone(self, delivery_id: int) -> None:
        """Try again later: pauses double from a second to a minute, for three days."""
        attempts, created = self._db.execute(
            "SELECT attempts, created FROM deliveries WHERE id = ?", (delivery_id,)
        ).fetchone()
        now = self._clock.now()
        if now - created > _PATIENCE:
            self._finish(delivery_id, "given_up")
            return
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempts, 10))
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, next_at = ? WHERE id = ?",
            (now + pause * _random.uniform(0.8, 1.2), delivery_id),
        )
