"""Orders for the visitors to find: one of each kind that there is something to do about."""

import asyncio
from typing import Any

import httpx

from fuzz.plan import DECLINED

_READY_SECONDS = 60.0
_MOST_DECLINES = 50


async def place(http: httpx.AsyncClient, prefix: str) -> list[str]:
    """The ids of the orders, which begin with `prefix`. `http` has a key of every scope."""

    async def order(kind: str, token: str = "pm_card_visa", **more: Any) -> str:  # noqa: S107
        order_id = f"{prefix}-{kind}"
        body = {
            "order_id": order_id,
            "payment_method": "credit_card",
            "amount": "49.99",
            "payment_method_token": token,
            **more,
        }
        answer = await http.post("/api/payment/initiate", json=body)
        if answer.status_code not in (200, 400):  # 400: it is to be declined
            raise RuntimeError(f"{order_id}: {answer.text}")
        return order_id

    held = [await order(kind, capture="manual") for kind in ("held", "captured", "canceled")]
    orders = [
        *held,
        await order("paid"),
        await order("refunded"),
        await order("declined", DECLINED),
        await order("asked", "pm_card_authenticationRequired"),
        await order("of-a-customer", customer_id=f"{prefix}-customer", save_payment_method=True),
    ]
    for order_id, what in ((held[1], "capture"), (held[2], "cancel")):
        (await http.post(f"/api/payment/{order_id}/{what}")).raise_for_status()
    await _until_fulfilled(http, f"{prefix}-refunded")
    path, key = f"/api/payment/{prefix}-refunded/refunds", {"Idempotency-Key": "first"}
    (await http.post(path, json={"amount": "10.00"}, headers=key)).raise_for_status()
    return orders


async def decline_too_often(http: httpx.AsyncClient, prefix: str) -> None:
    """Pay with a token that is declined, each time for another order, until the limits say no."""
    for number in range(_MOST_DECLINES):
        body = {
            "order_id": f"{prefix}-{number}",
            "payment_method": "credit_card",
            "amount": "49.99",
            "payment_method_token": DECLINED,
        }
        if (await http.post("/api/payment/initiate", json=body)).status_code == 429:
            return
    raise RuntimeError(f"{_MOST_DECLINES} declines were not too many")


async def _until_fulfilled(http: httpx.AsyncClient, order_id: str) -> None:
    async def told() -> str:
        status: str = (await http.get(f"/api/payment/{order_id}")).json()["order_status"]
        return status

    async with asyncio.timeout(_READY_SECONDS):
        while await told() != "fulfilled":  # noqa: ASYNC110 - nobody outside sets an event for us
            await asyncio.sleep(0.1)
