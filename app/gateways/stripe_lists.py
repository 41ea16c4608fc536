"""Stripe's lists of a period, page by page, read as ours.

One object that cannot be read is named in its page and stops nothing.
Sources: Stripe's API reference (pagination, balance transactions and their reporting categories,
events), version 2026-08-26.dahlia.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from stripe import V1Services

from app.domain.gateway import (
    GatewayDispute,
    GatewayEvent,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    InvalidCallbackError,
    MovementKind,
    Page,
    Period,
)
from app.gateways import stripe_money, stripe_values
from app.gateways.stripe_callbacks import EVENTS, translated
from app.gateways.stripe_calls import answer
from app.gateways.stripe_read import names_an_order, read_dispute, read_payment, read_refund
from app.gateways.stripe_requests import EXPAND

_PAGE = 100  # the largest
_KIND = {
    "charge": MovementKind.CHARGE,
    "charge_failure": MovementKind.CHARGE,
    "refund": MovementKind.REFUND,
    "partial_capture_reversal": MovementKind.REFUND,
    "refund_failure": MovementKind.REFUND,
    "dispute": MovementKind.DISPUTE,
    "dispute_reversal": MovementKind.DISPUTE,
    "fee": MovementKind.FEE,
    "network_cost": MovementKind.FEE,
    "payout": MovementKind.PAYOUT,
    "payout_reversal": MovementKind.PAYOUT,
}

Object = Mapping[str, Any]
_Listed = TypeVar("_Listed")
_Read = Callable[[Object], _Listed | None]


async def payments(api: V1Services, period: Period, after: str | None) -> Page[GatewayPayment]:
    """PaymentIntents that name an order."""
    expand = [f"data.{name}" for name in EXPAND]
    return await _page(api.payment_intents.list_async, period, after, _payment, expand=expand)


async def refunds(api: V1Services, period: Period, after: str | None) -> Page[GatewayRefund]:
    """Refunds of PaymentIntents that name an order."""
    expand = ["data.payment_intent"]
    return await _page(api.refunds.list_async, period, after, _reversal(read_refund), expand=expand)


async def disputes(api: V1Services, period: Period, after: str | None) -> Page[GatewayDispute]:
    """Disputes of PaymentIntents that name an order."""
    expand = ["data.payment_intent"]
    read = _reversal(read_dispute)
    return await _page(api.disputes.list_async, period, after, read, expand=expand)


async def movements(api: V1Services, period: Period, after: str | None) -> Page[GatewayMovement]:
    """Balance transactions, whosever they are."""
    expand = ["data.source"]
    return await _page(api.balance_transactions.list_async, period, after, _movement, expand=expand)


async def events(api: V1Services, period: Period, after: str | None) -> Page[GatewayEvent]:
    """Events of the types that we subscribe to. Stripe keeps them for 30 days."""
    return await _page(api.events.list_async, period, after, translated, types=sorted(EVENTS))


async def _page(
    read_page: Callable[[Any], Awaitable[Any]],
    period: Period,
    after: str | None,
    read: _Read[_Listed],
    **filters: Any,
) -> Page[_Listed]:
    created = {
        "gte": math.ceil(period.since.timestamp()),
        "lt": math.ceil(period.until.timestamp()),
    }
    start = {"starting_after": after} if after is not None else {}
    page = await answer(read_page({"created": created, "limit": _PAGE, **start, **filters}))
    items: list[_Listed] = []
    unreadable: list[str] = []
    for listed in page["data"]:
        try:
            item = read(listed)
        except (InvalidCallbackError, *stripe_values.NOT_AS_DOCUMENTED):
            unreadable.append(str(listed["id"]))
        else:
            if item is not None:
                items.append(item)
    last = page["data"][-1]["id"] if page["has_more"] else None
    return Page(items, last, unreadable)


def _payment(intent: Object) -> GatewayPayment | None:
    return read_payment(intent) if names_an_order(intent) else None


def _reversal(read: Callable[[Object], _Listed]) -> _Read[_Listed]:
    """That of a payment which names an order; None for any other."""

    def of_an_order(told: Object) -> _Listed | None:
        intent = told["payment_intent"]
        if intent is None or not names_an_order(intent):
            return None
        return read({**told, "payment_intent": intent["id"]})

    return of_an_order


def _movement(told: Object) -> GatewayMovement:
    source, currency = told["source"], told["currency"]
    paid_by = source.get("payment_intent") if isinstance(source, Mapping) else None
    return GatewayMovement(
        movement_id=stripe_values.object_id(told["id"]),
        kind=_KIND.get(told["reporting_category"], MovementKind.OTHER),
        amount=_signed(told["amount"], currency),
        fee=_signed(told["fee"], currency),
        currency=currency,
        created_at=stripe_values.moment(told["created"]),
        transaction_id=stripe_values.object_id(paid_by) if paid_by is not None else None,
    )


def _signed(amount: Any, currency: Any) -> int:
    """In our minor units."""
    size = stripe_values.amount(abs(amount))
    minor = stripe_money.from_stripe(size, currency).minor
    return -minor if amount < 0 else minor
