"""How a charge tells what it was paid with, and a refund where the money goes."""

from sandbox.ids import random_text
from sandbox.store import Json


def payment_method_details(intent: Json, method: Json) -> Json:
    """What the charge shows of the method, as it is when it is charged."""
    kind = method["type"]
    return {kind: _SHOWN[kind](intent, method), "type": kind}


def destination_details(charge: Json) -> Json:
    """Where a refund of this charge goes: back the way the money came.

    What was debited from a bank account comes back as a transfer to it.
    """
    match charge["payment_method_details"]["type"]:
        case "card":
            details = {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            }
            return {"card": details, "type": "card"}
        case "paypal":
            return {"paypal": {"network_decline_code": None}, "type": "paypal"}
        case "klarna":
            return {"klarna": {}, "type": "klarna"}
        case "us_bank_account":
            kind = "us_bank_transfer"
        case _:
            kind = "eu_bank_transfer"
    return {kind: {"reference": None, "reference_status": "pending"}, "type": kind}


def _card(intent: Json, method: Json) -> Json:
    card = method["card"]
    return {
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "brand": card["brand"],
        "checks": {**card["checks"]},
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": random_text(15),
        "overcapture": {
            "maximum_amount_capturable": intent["amount"],
            "status": "unavailable",
        },
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": card["wallet"],
    }


def _ideal(intent: Json, method: Json) -> Json:
    return {
        **method["ideal"],
        "generated_sepa_debit": None,
        "generated_sepa_debit_mandate": None,
        "iban_last4": None,
        "transaction_id": random_text(16),
        "verified_name": method["billing_details"]["name"],
    }


def _klarna(intent: Json, method: Json) -> Json:
    country = method["billing_details"]["address"]["country"]
    return {
        "payer_details": {"address": {"country": country}},
        "payment_method_category": "pay_later",
        "preferred_locale": None,
    }


def _paypal(intent: Json, method: Json) -> Json:
    billing = method["billing_details"]
    return {
        "country": billing["address"]["country"],
        "payer_email": billing["email"] or "payer@example.com",
        "payer_id": random_text(13).upper(),
        "payer_name": billing["name"],
        "seller_protection": {
            "dispute_categories": ["fraudulent", "product_not_received"],
            "status": "eligible",
        },
        "transaction_id": random_text(17).upper(),
    }


def _sepa_debit(intent: Json, method: Json) -> Json:
    kept = ("bank_code", "branch_code", "country", "fingerprint", "last4")
    return {**{name: method["sepa_debit"][name] for name in kept}, "mandate": None}


def _us_bank_account(intent: Json, method: Json) -> Json:
    kept = (
        "account_holder_type",
        "account_type",
        "bank_name",
        "fingerprint",
        "last4",
        "routing_number",
    )
    account = {name: method["us_bank_account"][name] for name in kept}
    return {**account, "payment_reference": None}


_SHOWN = {
    "card": _card,
    "ideal": _ideal,
    "klarna": _klarna,
    "paypal": _paypal,
    "sepa_debit": _sepa_debit,
    "us_bank_account": _us_bank_account,
}
