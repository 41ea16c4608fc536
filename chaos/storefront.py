"""A sensible client: the same request again until its answer is sure, and never another one."""

import asyncio
import random
import secrets
from collections import Counter
from typing import Any

import httpx

from app.domain.api_keys import DEVELOPMENT_API_KEY
from chaos.evidence import Acknowledged, Acknowledgements, Kind
from chaos.plan import PlannedOrder

Json = dict[str, Any]
PATIENCE_SECONDS = 12.0
_jitter = random.SystemRandom()


class Storefront:
    """Talks to the API. What was answered 2xx is written down before anything else is done.

    `answers` counts what came back by status, 0 where nothing did. `surprises` are answers that a
    storefront could make no sense of.
    """

    def __init__(self, api_url: str, acknowledgements: Acknowledgements) -> None:
        self.answers: Counter[int] = Counter()
        self.surprises: list[str] = []
        self._acknowledgements = acknowledgements
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=40),
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def ask(
        self, kind: Kind, order: PlannedOrder, path: str, body: Json, amount: int, key: str
    ) -> httpx.Response:
        """Send it until it is answered. `amount` is what it is about, in minor units."""
        answer = await self._until_answered("POST", path, body, key)
        if answer.is_success:
            self._acknowledgements.append(
                Acknowledged(
                    order.order_id,
                    kind,
                    amount,
                    order.amount.currency,
                    answer.status_code,
                    answer.json(),
                )
            )
        return answer

    async def read(self, order_id: str) -> Json:
        """The order as the API tells it."""
        answer = await self._until_answered("GET", f"/api/payment/{order_id}")
        if not answer.is_success:
            self.surprised(f"{order_id}: reading it was answered {answer.status_code}")
            return {"status": "gone", "order_status": "gone"}
        read: Json = answer.json()
        return read

    def surprised(self, what: str) -> None:
        """Note an answer that should not have come."""
        self.surprises.append(what)

    async def _until_answered(
        self, method: str, path: str, body: Json | None = None, key: str | None = None
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key is not None else {}
        while True:
            try:
                answer = await self._http.request(method, path, json=body, headers=headers)
            except httpx.TransportError:
                self.answers[0] += 1
                await asyncio.sleep(_jitter.uniform(0.3, 1.5))
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code < 500:
                return answer
            if answer.status_code != 503 or "Retry-After" not in answer.headers:
                self.surprised(f"{method} {path} was answered {answer.status_code}: {answer.text}")
            wait = float(answer.headers.get("Retry-After", "1"))
            await asyncio.sleep(wait * _jitter.uniform(0.5, 1))


def new_key() -> str:
    """An Idempotency-Key: one for each thing that is wanted."""
    return secrets.token_hex(12)
