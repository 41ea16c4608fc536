"""What Stripe tells in its callbacks, and how our gateway reads it."""

import json
from typing import Any

from app.domain.gateway import GatewayEvent
from app.domain.reversals import refund_name
from app.gateways.stripe import StripeGateway
from tests.gateways.signing import signed

Json = dict[str, Any]

REFUND: Json = {
    "id": "re_1",
    "object": "refund",
    "amount": 1999,
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {"order_id": "order-1", "refund": refund_name("order-1", "first")},
    "payment_intent": "pi_1",
    "status": "succeeded",
}
DISPUTE: Json = {
    "id": "du_1",
    "object": "dispute",
    "amount": 4999,
    "charge": "ch_1",
    "currency": "usd",
    "evidence_details": {"due_by": 1_800_000_000, "has_evidence": False},
    "metadata": {},
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}
DECLINED: Json = {
    "id": "pi_1",
    "object": "payment_intent",
    "amount": 4999,
    "amount_capturable": 0,
    "amount_received": 0,
    "currency": "usd",
    "last_payment_error": {
        "code": "card_declined",
        "message": "Your card was declined.",
        "payment_method": {"type": "card", "card": {"brand": "visa", "last4": "0002"}},
        "type": "card_error",
    },
    "latest_charge": "ch_1",
    "metadata": {"order_id": "order-1"},
    "next_action": None,
    "payment_method": None,
    "status": "requires_payment_method",
}
HELD: Json = DECLINED | {
    "amount_capturable": 4999,
    "last_payment_error": None,
    "latest_charge": {
        "payment_method": "pm_1",
        "payment_method_details": {
            "type": "card",
            "card": {"brand": "visa", "last4": "4242", "capture_before": 1_800_000_000},
        },
    },
    "payment_method": "pm_1",
    "status": "requires_capture",
}
CHALLENGED: Json = DECLINED | {
    "last_payment_error": None,
    "next_action": {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": "https://bank.example/approve"},
    },
    "status": "requires_action",
}


def event(kind: str, told: object) -> Json:
    """An event of type `kind` about `told`."""
    return {
        "id": "evt_1",
        "object": "event",
        "livemode": False,
        "type": kind,
        "created": 1_800_000_000,
        "data": {"object": told},
    }


def read(gateway: StripeGateway, kind: str, told: object) -> GatewayEvent:
    """The same, signed and read."""
    return read_event(gateway, event(kind, told))


def read_event(gateway: StripeGateway, whole: object) -> GatewayEvent:
    """Any event, signed and read."""
    body = json.dumps(whole).encode()
    return gateway.read_callback(signed(body), body)
