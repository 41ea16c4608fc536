"""One call to Stripe: its answer, or its error as ours.

Sources: Stripe's error reference, its documentation of idempotent requests and of pagination.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx
import stripe

from app.domain.card_numbers import blotted
from app.domain.gateway import GatewayError, OutcomeUnknownError, RefusedError, UnavailableError

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_PAGE = 100  # the largest


class PaymentAsItIsError(RefusedError):
    """Stripe said no and showed the PaymentIntent: where that was asked for, it is the answer."""

    def __init__(self, refusal: RefusedError, intent: Mapping[str, Any]) -> None:
        super().__init__(refusal.code, refusal.message, refusal.field_name)
        self.intent = intent


async def answer(call: Awaitable[Any]) -> dict[str, Any]:
    """What a call answers with. Raises GatewayError."""
    try:
        answered: dict[str, Any] = (await call).to_dict()
    except stripe.StripeError as error:
        failure = _translated(error)
    else:
        return answered
    raise failure  # here, so that it has nothing of Stripe's error, which may hold the request


async def payment_intent(call: Awaitable[Any]) -> Mapping[str, Any]:
    """The PaymentIntent that a call answers with, a decline's and a wrong state's included."""
    try:
        return await answer(call)
    except PaymentAsItIsError as refusal:
        return refusal.intent


async def every(
    read_page: Callable[[Any], Awaitable[Any]], **filters: Any
) -> AsyncIterator[dict[str, Any]]:
    """All objects of a list, page after page. Raises GatewayError."""
    params = {**filters, "limit": _PAGE}
    while True:
        page = await answer(read_page(params))
        for listed in page["data"]:
            yield listed
        if not page["has_more"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


def _translated(error: stripe.StripeError) -> GatewayError:
    """Stripe's error as ours: declined, refused, unavailable or unknown."""
    status, body = error.http_status, error.json_body
    details = body.get("error", {}) if isinstance(body, dict) else {}
    if isinstance(error, stripe.APIConnectionError):
        if isinstance(error.__cause__, _NOT_SENT):
            return UnavailableError("Stripe cannot be reached")
        return OutcomeUnknownError("Stripe did not answer")
    if status == 429:
        return UnavailableError("Stripe asks us to slow down", _retry_after(error))
    if status in (401, 403):
        return UnavailableError("Stripe does not accept our API key: check STRIPE_API_KEY")
    if status is None or status >= 500 or status == 409:
        return OutcomeUnknownError(f"Stripe answered HTTP {status}")
    refusal = RefusedError(
        _said(details.get("code") or details.get("type")) or f"http_{status}",
        _said(details.get("message")) or "Stripe refused the request",
        _said(details.get("param")),
    )
    intent = details.get("payment_intent")
    shown = status == 402 or details.get("code") == "payment_intent_unexpected_state"
    return PaymentAsItIsError(refusal, intent) if shown and isinstance(intent, dict) else refusal


def _said(told: Any) -> str | None:
    """Stripe's own words, which quote ours: a card number is blotted out."""
    return blotted(str(told)) if told else None


def _retry_after(error: stripe.StripeError) -> float | None:
    value = (error.headers or {}).get("retry-after", "")
    return float(value) if value.isdigit() else None
