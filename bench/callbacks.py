"""How long a callback waits for its answer: with Temporal there, and without it."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from statistics import quantiles

import httpx
from standardwebhooks import Webhook

from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.credentials import Credentials
from app.embedded.stack import Stack

_ORDERS = 40
_PROMISED_MS = 100


@dataclass(frozen=True)
class Waits:
    """One row of the comparison, in milliseconds."""

    temporal: str
    at_once: int
    median: float
    p99: float
    longest: float
    late: int

    @classmethod
    def of(cls, temporal: str, at_once: int, waits: list[float]) -> "Waits":
        cuts = quantiles(waits, n=100)
        late = sum(wait > _PROMISED_MS for wait in waits)
        return cls(temporal, at_once, cuts[49], cuts[98], max(waits), late)

    def __str__(self) -> str:
        return (
            f"Temporal {self.temporal:<4}  {self.at_once:>3} at once  median {self.median:6.1f} ms"
            f"  p99 {self.p99:6.1f} ms  longest {self.longest:6.1f} ms"
            f"  over {_PROMISED_MS} ms: {self.late}"
        )


class Callbacks:
    """Signed callbacks for orders that wait for their capture."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._secret = Webhook(Credentials.kept_in(stack.folder).callback_secret)
        self._http = httpx.AsyncClient(base_url=stack.api_url, trust_env=False, timeout=30)
        self._numbers = count()
        self._orders = [f"bench-{secrets.token_hex(4)}" for _ in range(_ORDERS)]

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def place_orders(self) -> None:
        """Have the money of every order held."""
        for order_id in self._orders:
            body = {
                "order_id": order_id,
                "payment_method": "credit_card",
                "payment_method_token": "pm_card_visa",
                "amount": "10.00",
                "capture": "manual",
            }
            key = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}
            answer = await self._http.post("/api/payment/initiate", json=body, headers=key)
            answer.raise_for_status()

    async def send(self, temporal: str, at_once: int, how_many: int) -> Waits:
        """`how_many` of them, `at_once`; how long each waited. Raises HTTPStatusError for any that
        is not answered 200."""
        left = count()
        waits: list[float] = []

        async def sender() -> None:
            while next(left) < how_many:
                waits.append(await self._one())

        await asyncio.gather(*(sender() for _ in range(at_once)))
        return Waits.of(temporal, at_once, waits)

    async def _one(self) -> float:
        number = next(self._numbers)
        body = json.dumps({"order_id": self._orders[number % _ORDERS], "status": "pending"})
        id_, at = f"msg_bench_{number}", datetime.now(UTC)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._secret.sign(id_, at, body),
            "content-type": "application/json",
        }
        began = time.perf_counter()
        answer = await self._http.post("/api/payment/callback", content=body, headers=headers)
        waited = (time.perf_counter() - began) * 1000
        answer.raise_for_status()
        return waited


async def compare(stack: Stack, how_many: int, say: Callable[[str], None]) -> None:
    """Each number of callbacks at once, with Temporal and then without it."""
    callbacks = Callbacks(stack)
    try:
        await callbacks.place_orders()
        await callbacks.send("up", 1, 50)
        for at_once in (1, 8, 32):
            say(str(await callbacks.send("up", at_once, how_many)))
            await stack.supervisor.kill("temporal")
            say(str(await callbacks.send("away", at_once, how_many)))
            await stack.supervisor.revive("temporal")
    finally:
        await callbacks.close()
