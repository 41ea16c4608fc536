"""The gateway's back door: what the harness orders of the sandbox, and what the sandbox counted."""

import asyncio
from typing import Any

import httpx

from app.embedded.credentials import Credentials
from chaos.plan import Voice

Json = dict[str, Any]
WORK = r"/v1/(payment_intents(/\w+/(confirm|capture|cancel))?|refunds)"
"""What moves money."""

_SILENT = {"mode": "drop", "orders": f"*-{Voice.SILENT}"}
_VOICES = [
    _SILENT,
    {"mode": "repeat", "times": 10, "orders": f"*-{Voice.TENFOLD}"},
    {"mode": "shuffle", "seconds": 1, "orders": f"*-{Voice.SHUFFLED}"},
    {"mode": "delay", "seconds": 4, "orders": f"*-{Voice.DELAYED}"},
]


class GatewayControl:
    """Asks again for as long as the sandbox is down: what is ordered here is carried out."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {credentials.stripe_api_key}"},
            trust_env=False,
            timeout=60,
        )

    async def close(self) -> None:
        """Let go of every connection."""
        await self._http.aclose()

    async def order(self, what: str, **order: Any) -> Json:
        """Have it done, and hear what came of it."""
        return await self._ask("POST", f"/control/{what}", order)

    async def fail_after_work(self, times: int, **how: Any) -> None:
        """Have the next calls that move money do so, and then not be answered as they should."""
        await self.order("faults", method="POST", path=WORK, mode="after", times=times, **how)

    async def storm(self, status: int, times: int) -> None:
        """Have the next calls of any kind answered with an error, and do nothing."""
        await self.order("faults", path="/v1", status=status, times=times)

    async def forge(self, order_id: str, signed: str) -> int | None:
        """Send a made-up success of an order; the answer's status, None where there was none."""
        said = await self.order(
            "forge",
            type="payment_intent.succeeded",
            object={
                "id": "pi_forged",
                "object": "payment_intent",
                "amount": 1,
                "amount_received": 1,
                "currency": "usd",
                "metadata": {"order_id": order_id},
                "status": "succeeded",
            },
            signed=signed,
        )
        status: int | None = said["statuses"][0]
        return status

    async def raise_voices(self) -> None:
        """Have each order's callbacks arrive as its id says."""
        await self.order("deliveries", rules=_VOICES)

    async def calm(self) -> None:
        """End every fault. The callbacks that are never to come still do not."""
        await self._ask("DELETE", "/control/faults")
        await self.order("clock", skew_seconds=0)
        await self.order("deliveries", rules=[_SILENT])

    async def faults(self) -> Json:
        """What is still to come, and what was suffered."""
        return await self._ask("GET", "/control/faults")

    async def deliveries(self) -> Json:
        """What became of the callbacks."""
        return await self._ask("GET", "/control/deliveries")

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        while True:
            try:
                answer = await self._http.request(method, path, json=body)
            except httpx.TransportError:
                await asyncio.sleep(0.3)
                continue
            if answer.status_code == 500:  # killed in the middle of it
                await asyncio.sleep(0.3)
                continue
            answer.raise_for_status()
            said: Json = answer.json()
            return said
