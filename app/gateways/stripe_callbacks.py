"""Stripe's callbacks: verified against the raw body, then read.

Source: Stripe's webhook documentation (Stripe-Signature, five minutes' tolerance).
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import stripe

from app.domain.gateway import InvalidCallbackError

TOLERANCE_SECONDS = 300


def verified_event(headers: Mapping[str, str], body: bytes, secret: str) -> dict[str, Any]:
    """The event in `body`, if `secret` signed it within the last five minutes.

    Raises InvalidCallbackError for anything else.
    """
    header = headers.get("stripe-signature", "")
    try:
        text = body.decode("utf-8")
        stripe.WebhookSignature.verify_header(
            text, header.encode("ascii").decode("ascii"), secret, tolerance=TOLERANCE_SECONDS
        )
    except UnicodeError as error:
        raise InvalidCallbackError("the callback is not text as Stripe sends it") from error
    except stripe.SignatureVerificationError as error:
        raise InvalidCallbackError("the Stripe-Signature does not match this body") from error
    # The SDK checks the past only.
    signed_at = next(int(part[2:]) for part in header.split(",") if part.startswith("t="))
    if signed_at > time.time() + TOLERANCE_SECONDS:
        raise InvalidCallbackError("the Stripe-Signature is dated in the future")
    try:
        event = json.loads(text)
    except ValueError as error:
        raise InvalidCallbackError("the callback is not JSON") from error
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise InvalidCallbackError("the callback is not a Stripe event")
    return event
