"""Whole lives of payments, each up to its workflow's end. Tests judge them, and their histories are
saved to be replayed (see save_histories.py)."""

from collections.abc import Awaitable, Callable
from typing import Any

from app.fulfilment.reserve_stock import set_stock
from tests.sandbox.program import payment
from tests.workflows.shop import EXPIRY, Placed, Shop


async def a_happy_path(shop: Shop) -> Placed:
    """Held, confirmed by callback, captured, fulfilled."""
    placed = await shop.order()
    await placed.pay()
    await placed.call_back()
    await placed.result()
    return placed


async def a_decline_then_another_card(shop: Shop) -> Placed:
    """The second card pays."""
    placed = await shop.order()
    await placed.pay("pm_card_chargeDeclinedInsufficientFunds")
    await placed.pay("pm_card_visa", attempt=2)
    await placed.call_back()
    await placed.result()
    return placed


async def a_lost_callback(shop: Shop) -> Placed:
    """No callback ever comes: the gateway is asked."""
    placed = await shop.order(skipping=True)
    await placed.pay()
    await placed.result()
    return placed


async def an_expiry(shop: Shop) -> Placed:
    """The shopper never authenticates: the payment is voided when the checkout is over."""
    placed = await shop.order()
    await placed.pay("pm_card_authenticationRequired")
    await shop.pass_time(placed, EXPIRY)
    await placed.result()
    return placed


async def out_of_stock(shop: Shop) -> Placed:
    """The money is held, but there is nothing to sell."""
    await set_stock(shop.engine, "sold out", 0)
    placed = await shop.order(sku="sold out")
    await placed.pay()
    await placed.call_back()
    await placed.result()
    return placed


SAVED: list[Callable[[Shop], Awaitable[Placed]]] = [
    a_happy_path,
    a_decline_then_another_card,
    a_lost_callback,
    an_expiry,
    out_of_stock,
]


def unheard_of(placed: Placed) -> Any:
    """The parameters of a payment of the order, for making it behind our back."""
    amount = placed.order.amount.minor
    return payment(placed.order.order_id, amount=amount)
