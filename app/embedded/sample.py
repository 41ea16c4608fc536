"""A sample order, placed the way a storefront would, and its story as it happens."""

import asyncio
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx

from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.errors import StackError

DEADLINE_SECONDS = 90.0
HEADERS = {"Authorization": f"Bearer {DEVELOPMENT_API_KEY}"}


def storefront_body() -> dict[str, Any]:
    """What a storefront sends for a fresh order."""
    return {
        "order_id": f"order-{secrets.token_hex(4)}",
        "payment_method": "credit_card",
        "amount": 49.99,
        "currency": "usd",
        "payment_method_token": "pm_card_visa",  # no secret  # nosec B105
    }


def curl(api_url: str) -> str:
    """A command to paste that pays for a fresh order."""
    headers = {**HEADERS, "Content-Type": "application/json"}
    lines = [
        f"curl {api_url}/api/payment/initiate",
        *(f"-H '{name}: {value}'" for name, value in headers.items()),
        f"-d '{json.dumps(storefront_body())}'",
    ]
    return " \\\n  ".join(lines)


async def follow_sample_order(api_url: str, report: Callable[[str], None]) -> None:
    """Place an order and report its timeline until it is fulfilled; StackError when it is not."""
    body = {
        **storefront_body(),
        "customer_email": "shopper@example.com",
        "metadata": {"sku": "sample-mug", "quantity": "1"},
    }
    report(f"Sample order {body['order_id']}")
    # trust_env=False: a proxy set for the outside world is not for 127.0.0.1.
    async with httpx.AsyncClient(
        base_url=api_url, headers=HEADERS, trust_env=False, timeout=20
    ) as client:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await _place(client, body)
                await _follow(client, body["order_id"], report)
        except TimeoutError:
            raise StackError(
                f"order {body['order_id']} is not fulfilled after {DEADLINE_SECONDS:g} s"
            ) from None


async def _place(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    try:
        response = await client.post("/api/payment/initiate", json=body)
    except httpx.TransportError as error:
        raise StackError(f"the API did not take the sample order: {error!r}") from error
    if not response.is_success:
        raise StackError(
            f"the API refused the sample order: {response.status_code} {response.text.strip()}"
        )


async def _follow(client: httpx.AsyncClient, order_id: str, report: Callable[[str], None]) -> None:
    seen = 0
    began: datetime | None = None
    while True:
        order = await _read(client, order_id)
        for row in order["timeline"][seen:]:
            at = datetime.fromisoformat(row["at"])
            began = began or at
            elapsed = (at - began).total_seconds()
            clock = at.astimezone().strftime("%H:%M:%S.%f")[:-3]
            report(f"  {clock}  +{elapsed:6.2f} s  {row['event']:<20} {row['summary']}")
        seen = len(order["timeline"])
        if order["order_status"] == "fulfilled":
            return
        if order["order_status"] == "canceled":
            raise StackError(f"order {order_id} was canceled; its payment is {order['status']}")
        await asyncio.sleep(0.1)


async def _read(client: httpx.AsyncClient, order_id: str) -> dict[str, Any]:
    """The order as the API tells it; waits while the API is on its way back."""
    while True:
        try:
            response = await client.get(f"/api/payment/{order_id}")
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if response.is_success:
            order: dict[str, Any] = response.json()
            return order
        if response.status_code < 500:
            raise StackError(
                f"the API does not show order {order_id}: "
                f"{response.status_code} {response.text.strip()}"
            )
        await asyncio.sleep(0.1)
