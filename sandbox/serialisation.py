"""New objects as the API shows them, every nullable field present."""

from typing import Any

from sandbox.drafts import Draft
from sandbox.ids import new_id, random_text
from sandbox.method_details import destination_details, payment_method_details
from sandbox.store import Json

_NO_ADDRESS = {
    "city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None,
}  # fmt: skip


def address(given: Json | None) -> Json:
    return {**_NO_ADDRESS, **(given or {})}


def billing_details(given: Json | None) -> Json:
    """Name, email, phone and address of the payer; what was not given is null."""
    given = given or {}
    return {
        "address": address(given.get("address")),
        "email": given.get("email"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tax_id": None,
    }


def payment_method(
    draft: Draft, now: int, billing: Json, metadata: dict[str, str], allow_redisplay: str
) -> Json:
    return {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": allow_redisplay,
        "billing_details": billing,
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": metadata,
        draft.type: draft.details,
        "type": draft.type,
    }


def payment_intent(now: int, amount: int, currency: str, **given: Any) -> Json:
    """A PaymentIntent awaiting a payment method; `given` overrides fields of the same name."""
    intent_id = new_id("pi")
    blank: Json = {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{random_text(25)}",
        "confirmation_method": "automatic",
        "created": now,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": [],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    return {**blank, **given}


def charge(now: int, intent: Json, method: Json, outcome: Json) -> Json:
    """A charge of the intent's amount that neither succeeded nor failed yet."""
    return {
        "id": new_id("ch" if method["type"] == "card" else "py"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": _statement(intent),
        "captured": False,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "on_behalf_of": None,
        "outcome": outcome,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": payment_method_details(intent, method),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "refunds": None,
        "review": None,
        "shipping": intent["shipping"],
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def outcome(decline_code: str | None, advice: str | None, network_code: str | None) -> Json:
    """How the bank answered; `decline_code` is None when it said yes."""
    approved = decline_code is None
    return {
        "advice_code": advice,
        "network_advice_code": None,
        "network_decline_code": network_code,
        "network_status": "approved_by_network" if approved else "declined_by_network",
        "reason": decline_code,
        "risk_level": "normal",
        "risk_score": 8,
        "seller_message": "Approved." if approved else "The bank declined the payment.",
        "type": "authorized" if approved else "issuer_declined",
    }


def three_d_secure(*, authenticated: bool) -> Json:
    """How the payer's own bank answered the challenge."""
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05" if authenticated else None,
        "exemption_indicator": None,
        "result": "authenticated" if authenticated else "failed",
        "result_reason": None if authenticated else "rejected",
        "transaction_id": random_text(36),
        "version": "2.2.0",
    }


def refund(now: int, charge: Json, amount: int, reason: str | None, metadata: Json) -> Json:
    """A refund that has succeeded as far as anyone knows yet."""
    return {
        "id": new_id("re" if charge["id"].startswith("ch_") else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": destination_details(charge),
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def _statement(intent: Json) -> str:
    suffix = intent["statement_descriptor_suffix"]
    return f"SANDBOX* {suffix}" if suffix else "SANDBOX"
