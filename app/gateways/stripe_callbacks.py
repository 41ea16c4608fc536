"""Stripe's callbacks: verified against the raw body, then translated.

Source: Stripe's webhook documentation (Stripe-Signature, five minutes' tolerance; event types).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import stripe

from app.domain.gateway import GatewayEvent, InvalidCallbackError
from app.domain.money import InvalidAmountError
from app.gateways.signatures import one_is_right, signed_at
from app.gateways.stripe_read import (
    names_an_order,
    read_dispute,
    read_order_id,
    read_payment,
    read_refund,
)
from app.gateways.stripe_values import NOT_AS_DOCUMENTED, moment, object_id, word

# The events that tell what became of money. Others repeat them or are about none.
_PAYMENT = frozenset(
    {
        "payment_intent.requires_action",
        "payment_intent.processing",
        "payment_intent.payment_failed",
        "payment_intent.amount_capturable_updated",
        "payment_intent.succeeded",
        "payment_intent.canceled",
    }
)
_REFUND = frozenset({"refund.created", "refund.updated", "refund.failed"})
_DISPUTE = frozenset(
    {
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
        "charge.dispute.closed",
    }
)
EVENTS = _PAYMENT | _REFUND | _DISPUTE
"""What to subscribe to."""

_Told = TypeVar("_Told")


def verified_event(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, live: bool
) -> dict[str, Any]:
    """The event in `body`, if one of `secrets` signed it within five minutes from now, and it is of
    our mode: `live`, or Stripe's test mode.

    Raises InvalidCallbackError for anything else.
    """
    header = headers.get("stripe-signature", "")
    fields = header.split(",")
    times = [field.removeprefix("t=") for field in fields if field.startswith("t=")]
    if len(times) != 1 or not header.isascii():
        raise InvalidCallbackError("the Stripe-Signature is not as Stripe writes it")
    at = signed_at(times[0])
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidCallbackError("the callback is not text as Stripe sends it") from error
    # Not the SDK's own check: it knows no future, and takes a field with something behind it.
    sign = stripe.WebhookSignature.generate_signature_header
    right = [sign(text, secret, at).removeprefix(f"t={at},") for secret in secrets]
    if not one_is_right(fields, right):
        raise InvalidCallbackError("the Stripe-Signature does not match this body")
    try:
        event = json.loads(text)
    except ValueError as error:
        raise InvalidCallbackError("the callback is not JSON") from error
    if not isinstance(event, dict):
        raise InvalidCallbackError("the callback is not a Stripe event")
    if event.get("livemode") is not live:
        raise InvalidCallbackError(f"the event is not of our {'live' if live else 'test'} mode")
    return event


def translated(event: Mapping[str, Any]) -> GatewayEvent:
    """A verified event as ours. Raises InvalidCallbackError for one of no known shape, or of values
    that no payment has.

    A payment is read only if it names an order: another program's may be of any shape. A refund
    or a dispute may be begun at the bank or in Stripe's dashboard, and then names none.
    """
    try:
        kind, told = word(event["type"]), event["data"]["object"]
        ours = names_an_order(told)
        payment = read_payment(told) if kind in _PAYMENT and ours else None
        refund = _reversal(read_refund, told, ours) if kind in _REFUND else None
        dispute = _reversal(read_dispute, told, ours) if kind in _DISPUTE else None
        return GatewayEvent(
            gateway="stripe",
            event_id=object_id(event["id"]),
            type=kind,
            order_id=read_order_id(told) if payment or refund or dispute else None,
            created_at=moment(event["created"]),
            payment=payment,
            refund=refund,
            dispute=dispute,
        )
    except NOT_AS_DOCUMENTED as error:
        raise InvalidCallbackError("the event has not the shape of its API version") from error


def _reversal(
    read: Callable[[Mapping[str, Any]], _Told], told: Mapping[str, Any], ours: bool
) -> _Told | None:
    """None for that of money which we cannot have taken: without a PaymentIntent, or an amount that
    we could not have asked for."""
    if told.get("payment_intent") is None:
        return None
    try:
        return read(told)
    except InvalidAmountError:
        if ours:
            raise
        return None
