"""A request for each way to pay, for the API's own documentation."""

from typing import Any

from fastapi.openapi.models import Example

_ORDER: dict[str, Any] = {"order_id": "order-12345", "amount": 49.99}
_IN_EUROS: dict[str, Any] = {**_ORDER, "currency": "eur"}

WAYS_TO_PAY: dict[str, Example] = {
    "token": {
        "summary": "A card, by the gateway's token",
        "value": {
            **_ORDER,
            "payment_method": "credit_card",
            "payment_method_token": "pm_card_visa",  # no secret  # nosec B105
        },
    },
    "card": {
        "summary": "A raw card, where that is switched on",
        "value": {
            **_ORDER,
            "payment_method": "credit_card",
            "credit_card": {
                "number": "4111 1111 1111 1111",
                "expiry_month": "12",
                "expiry_year": "30",
                "cvv": "123",
            },
        },
    },
    "wallet": {
        "summary": "A wallet, by the gateway's token",
        "value": {
            **_ORDER,
            "payment_method": "apple_pay",
            "payment_method_token": "pm_card_applePay",  # no secret  # nosec B105
        },
    },
    "ideal": {
        "summary": "iDEAL: the shopper is sent to `next_action.url`",
        "value": {
            **_IN_EUROS,
            "payment_method": "ideal",
            "return_url": "https://shop.example.com/orders/12345",
        },
    },
    "sepa_debit": {
        "summary": "SEPA debit, kept for the customer's later orders",
        "value": {
            **_IN_EUROS,
            "payment_method": "sepa_debit",
            "payment_method_token": "pm_sepaDebit_success",  # no secret  # nosec B105
            "customer_email": "shopper@example.com",
            "customer_id": "customer-678",
            "save_payment_method": True,
            "mandate": {
                "ip_address": "203.0.113.7",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            },
        },
    },
    "off_session": {
        "summary": "A saved payment method, without the shopper",
        "value": {
            **_ORDER,
            "payment_method": "credit_card",
            "payment_method_token": "pm_1Q2w3E4r5T6y7U8i9O0p",  # no secret  # nosec B105
            "customer_id": "customer-678",
            "off_session": True,
        },
    },
}
