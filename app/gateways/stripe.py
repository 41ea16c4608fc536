"""Stripe: PaymentIntents with manual capture, one per order.

A PaymentIntent can be confirmed successfully once, so an order cannot be charged twice by it.
Sources: Stripe's API reference and OpenAPI description, version 2026-08-26.dahlia.
"""

import logging
import os
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import stripe

from app.domain.facts import Decline, NextAction, PaymentMethod
from app.domain.gateway import (
    AuthorizeRequest,
    Card,
    GatewayError,
    GatewayEvent,
    GatewayPayment,
    InvalidCallbackError,
    OutcomeUnknownError,
    Refund,
    RefusedError,
    Status,
    Token,
    UnavailableError,
)
from app.domain.money import Money
from app.gateways import stripe_money
from app.gateways.stripe_callbacks import verified_event

API_VERSION = "2026-08-26.dahlia"
_EXPAND = ["latest_charge"]
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_CLOCK_SKEW = timedelta(minutes=5)

_STATUS = {
    "requires_payment_method": Status.NOTHING,
    "requires_confirmation": Status.NOTHING,
    "requires_action": Status.REQUIRES_ACTION,
    "processing": Status.PROCESSING,
    "requires_capture": Status.AUTHORIZED,
    "succeeded": Status.CAPTURED,
    "canceled": Status.VOIDED,
}
# The events that tell a payment's fate. Others repeat them or belong to no payment.
_EVENTS = frozenset(
    {
        "payment_intent.requires_action",
        "payment_intent.processing",
        "payment_intent.payment_failed",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "payment_intent.canceled",
    }
)
# Declines after which the same card must not be tried again (Stripe: decline codes).
_FINAL_DECLINES = frozenset(
    {"lost_card", "stolen_card", "pickup_card", "restricted_card", "fraudulent"}
)


class StripeGateway:
    """The `Gateway` port on Stripe's API."""

    name = "stripe"

    def __init__(
        self, *, api_key: str, api_base: str, webhook_secret: str, timeout_seconds: float
    ) -> None:
        _keep_cards_out_of_the_log()
        self._webhook_secret = webhook_secret
        self._http = stripe.HTTPXClient(timeout=timeout_seconds)
        self._api = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base},
            http_client=self._http,
            max_network_retries=0,  # Temporal retries, with the same key
        ).v1

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def check_amount(self, amount: Money) -> None:
        stripe_money.check(amount)

    async def create_token(self, card: Card) -> Token:
        details: Any = {
            "number": card.number,
            "exp_month": card.expiry_month,
            "exp_year": card.expiry_year,
        }
        if card.security_code is not None:
            details["cvc"] = card.security_code
        created = await _answer(
            self._api.payment_methods.create_async(
                params={"type": "card", "card": details},
                # No money moves, and a key derived from a card would be a hash of it.
                options={"idempotency_key": str(uuid4())},
            )
        )
        return Token(created["id"], _method(created["card"]))

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        params: Any = {"payment_method": request.token, "expand": _EXPAND}
        if request.return_url is not None:
            params["return_url"] = request.return_url
        options: Any = {"idempotency_key": key}
        if request.transaction_id is not None:
            call = self._api.payment_intents.confirm_async(
                request.transaction_id, params=params, options=options
            )
        else:
            redirects = "always" if request.return_url is not None else "never"
            params |= {
                "amount": stripe_money.to_stripe(request.amount),
                "currency": request.amount.currency,
                "confirm": True,
                "capture_method": "manual",
                "automatic_payment_methods": {"enabled": True, "allow_redirects": redirects},
                "metadata": {"order_id": request.order_id},
            }
            call = self._api.payment_intents.create_async(params=params, options=options)
        return await _payment(call)

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        if transaction_id is not None:
            return await _payment(
                self._api.payment_intents.retrieve_async(transaction_id, params={"expand": _EXPAND})
            )
        # The list is consistent at once; Stripe's search is not.
        found: list[GatewayPayment] = []
        params: Any = {
            "created": {"gte": int((since - _CLOCK_SKEW).timestamp())},
            "limit": 100,
            "expand": ["data.latest_charge"],
        }
        while True:
            page = await _answer(self._api.payment_intents.list_async(params=params))
            found += [
                _read(intent)
                for intent in page["data"]
                if intent["metadata"].get("order_id") == order_id
            ]
            if not page["has_more"]:
                break
            params["starting_after"] = page["data"][-1]["id"]
        return max(found, key=lambda p: (p.captured, p.authorized), default=None)

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        return await _payment(
            self._api.payment_intents.capture_async(
                transaction_id,
                params={"amount_to_capture": stripe_money.to_stripe(amount), "expand": _EXPAND},
                options={"idempotency_key": key},
            )
        )

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        return await _payment(
            self._api.payment_intents.cancel_async(
                transaction_id, params={"expand": _EXPAND}, options={"idempotency_key": key}
            )
        )

    async def refund(self, transaction_id: str, amount: Money, key: str) -> Refund:
        # Looked for first: Stripe replays a stored 500 for ever, then forgets the key, and a second
        # part of the money could go back.
        made = await self._find_refund(transaction_id, key)
        if made is None:
            made = await _answer(
                self._api.refunds.create_async(
                    params={
                        "payment_intent": transaction_id,
                        "amount": stripe_money.to_stripe(amount),
                        "metadata": {"key": key},
                    },
                    options={"idempotency_key": key},
                )
            )
        return Refund(
            made["id"],
            stripe_money.from_stripe(made["amount"], made["currency"]),
            made["status"] or "pending",
        )

    async def _find_refund(self, transaction_id: str, key: str) -> dict[str, Any] | None:
        listed = await _answer(
            self._api.refunds.list_async(params={"payment_intent": transaction_id, "limit": 100})
        )
        made = (r for r in listed["data"] if (r.get("metadata") or {}).get("key") == key)
        return next(made, None)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        event = verified_event(headers, body, self._webhook_secret)
        try:
            # Read only if it is about an order: another program's payment may be of any shape.
            told = event["data"]["object"]
            order_id = (told.get("metadata") or {}).get("order_id")
            tells = event["type"] in _EVENTS and order_id is not None
            payment = _read(told) if tells else None
            return GatewayEvent(
                gateway=self.name,
                event_id=event["id"],
                type=event["type"],
                order_id=payment.order_id if payment is not None else None,
                created_at=datetime.fromtimestamp(event["created"], UTC),
                payment=payment,
            )
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise InvalidCallbackError("the event has not the shape of its API version") from error


def _keep_cards_out_of_the_log() -> None:
    """At debug level the SDK writes card numbers and codes into the log, and to stderr."""
    logging.getLogger("stripe").setLevel(logging.WARNING)
    if os.environ.get("STRIPE_LOG") == "debug":
        stripe.log = "info"


async def _payment(call: Awaitable[Any]) -> GatewayPayment:
    """The PaymentIntent that a call answers with, a decline's and a wrong state's included."""
    try:
        return _read(await _answer(call))
    except _PaymentAsItIsError as refusal:
        return _read(refusal.intent)


class _PaymentAsItIsError(RefusedError):
    """Stripe said no and showed the PaymentIntent: where that was asked for, it is the answer."""

    def __init__(self, refusal: RefusedError, intent: Mapping[str, Any]) -> None:
        super().__init__(refusal.code, refusal.message, refusal.field_name)
        self.intent = intent


async def _answer(call: Awaitable[Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = (await call).to_dict()
    except stripe.StripeError as error:
        raise _translated(error) from None  # the cause may hold the request
    return answer


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
        details.get("code") or details.get("type") or f"http_{status}",
        details.get("message") or "Stripe refused the request",
        details.get("param"),
    )
    intent = details.get("payment_intent")
    shown = status == 402 or details.get("code") == "payment_intent_unexpected_state"
    return _PaymentAsItIsError(refusal, intent) if shown and isinstance(intent, dict) else refusal


def _retry_after(error: stripe.StripeError) -> float | None:
    value = (error.headers or {}).get("retry-after", "")
    return float(value) if value.isdigit() else None


def _read(intent: Mapping[str, Any]) -> GatewayPayment:
    currency = intent["currency"]
    status = _STATUS[intent["status"]]
    failure = intent.get("last_payment_error")
    if status is Status.NOTHING and failure is not None:
        status = Status.DECLINED
    captured = stripe_money.from_stripe(intent["amount_received"], currency).minor
    held = stripe_money.from_stripe(intent["amount_capturable"], currency).minor
    charge = intent.get("latest_charge")
    card = _card_of(charge, failure)
    capture_before = (card or {}).get("capture_before")
    return GatewayPayment(
        transaction_id=intent["id"],
        order_id=intent["metadata"].get("order_id"),
        status=status,
        amount=stripe_money.from_stripe(intent["amount"], currency),
        authorized=max(captured, held),
        captured=captured,
        method=_method(card) if card else None,
        decline=_decline(failure or {}) if status is Status.DECLINED else None,
        next_action=_next_action(intent) if status is Status.REQUIRES_ACTION else None,
        capture_before=datetime.fromtimestamp(capture_before, UTC) if capture_before else None,
    )


def _card_of(charge: Any, failure: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Card details of the charge, or of the method that failed. None where not expanded."""
    if isinstance(charge, dict):
        return (charge.get("payment_method_details") or {}).get("card")
    method = (failure or {}).get("payment_method")
    return method.get("card") if isinstance(method, dict) else None


def _method(card: Mapping[str, Any]) -> PaymentMethod:
    kind = "debit_card" if card.get("funding") == "debit" else "credit_card"
    return PaymentMethod(kind, card.get("brand"), card.get("last4"))


def _decline(failure: Mapping[str, Any]) -> Decline:
    code = failure.get("decline_code") or failure.get("code") or "declined"
    message = failure.get("message") or "The payment was declined."
    return Decline(code, message, retryable=code not in _FINAL_DECLINES)


def _next_action(intent: Mapping[str, Any]) -> NextAction:
    action = intent.get("next_action") or {}
    if action.get("type") == "redirect_to_url":
        return NextAction("redirect", url=action["redirect_to_url"]["url"])
    return NextAction("use_gateway_sdk", client_secret=intent.get("client_secret"))
