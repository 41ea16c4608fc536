"""Requests in which a card stands where it may not, or that are wrong beside it. By name."""

import json
from collections.abc import Callable

from tests.sweep.canaries import Canary
from tests.walk.cards import spaced
from tests.walk.running import Json

LEFT_OUT: object = object()
"""As a field's value: the request is without the field."""

REQUESTS: dict[str, Callable[[Canary], Json]] = {
    "a field is missing": lambda c: {"order_id": LEFT_OUT},
    "a field too many": lambda c: {"surprise": c.number},
    "a field's name is the number": lambda c: {c.number: c.code},
    "the card is a list": lambda c: {"credit_card": [c.number, c.code]},
    "the card is a text": lambda c: {"credit_card": f"{c.number} {c.code}"},
    "a card in the card": lambda c: {"credit_card": {"number": c.card()}},
    "the number is a number": lambda c: {"credit_card": {**c.card(), "number": int(c.number)}},
    "the check digit is wrong": lambda c: {"credit_card": {**c.card(), "number": _misread(c)}},
    "the card expired": lambda c: {"credit_card": {**c.card(), "expiry_year": "20"}},
    "the number is the code": lambda c: {"credit_card": {**c.card(), "cvv": c.number}},
    "the number is the month": lambda c: {"credit_card": {**c.card(), "expiry_month": c.number}},
    "the number is the year": lambda c: {"credit_card": {**c.card(), "expiry_year": c.number}},
    "the amount is no amount": lambda c: {"amount": "much"},
    "the number is the amount": lambda c: {"amount": c.number},
    "the number is the amount, bare": lambda c: {"amount": int(c.number)},
    "the number is the currency": lambda c: {"currency": c.number},
    "the number is the way to pay": lambda c: {"payment_method": c.number},
    "another way to pay": lambda c: {"payment_method": "ideal", "return_url": "https://a.example"},
    "the number is the order": lambda c: {"order_id": c.number},
    "the number is in the order": lambda c: {"order_id": spaced(c.number, "-")},
    "the number is the customer": lambda c: {"customer_id": c.number},
    "the number is in the e-mail address": lambda c: {"customer_email": f"{c.number}@example.com"},
    "the number is the shopper's address": lambda c: {"customer_ip_address": c.number},
    "the number is in the metadata": lambda c: {"metadata": {"note": f"paid by {c.number}"}},
    "the number is spaced in the metadata": lambda c: {"metadata": {"note": spaced(c.number)}},
    "the number is a name in the metadata": lambda c: {"metadata": {c.number: "note"}},
    "the number is in the way back": lambda c: {"return_url": f"https://a.example/{c.number}"},
    "the number is the token": lambda c: {
        "credit_card": LEFT_OUT,
        "payment_method_token": f"pm_{c.number}",
    },
}
"""Of a request to pay with the card: what is different in it."""


def different(request: Json, changes: Json) -> Json:
    """`request` with those changes."""
    return {k: v for k, v in {**request, **changes}.items() if v is not LEFT_OUT}


def _misread(c: Canary) -> str:
    return f"{c.number[:-1]}{9 - int(c.number[-1])}"


def _form(c: Canary) -> str:
    return f"order_id=order-1&number={c.number}&cvv={c.code}"


BODIES: dict[str, Callable[[Canary], tuple[str, str]]] = {
    "nothing but the number": lambda c: (c.number, "application/json"),
    "a text": lambda c: (f'"{c.number} {c.code}"', "application/json"),
    "a list": lambda c: (json.dumps([c.card()]), "application/json"),
    "JSON that ends in the middle": lambda c: (json.dumps(c.card())[:-1], "application/json"),
    "deep JSON": lambda c: ('{"credit_card":' * 9000 + c.number, "application/json"),
    "a form": lambda c: (_form(c), "application/x-www-form-urlencoded"),
    "XML": lambda c: (f"<number>{c.number}</number><cvv>{c.code}</cvv>", "application/xml"),
    "plain text": lambda c: (json.dumps(c.card()), "text/plain"),
    "YAML": lambda c: (f"number: {c.number}\ncvv: {c.code}", "application/yaml"),
    "a form in parts": lambda c: (
        f'--b\r\nContent-Disposition: form-data; name="number"\r\n\r\n{c.number}\r\n--b--',
        "multipart/form-data; boundary=b",
    ),
    "a kind of content that is none": lambda c: (json.dumps(c.card()), c.number),
    "more than may be sent": lambda c: (
        json.dumps({"credit_card": c.card(), "metadata": {"note": c.number * 20_000}}),
        "application/json",
    ),
}
"""Bodies that are no request, each with the kind of content that it claims to be."""

ADDRESSES = (
    "/api/payment/{}",
    "/api/payment/{}/refunds",
    "/api/payment/order-1?card={}",
    "/api/payments?customer_id={}",
    "/api/payments?cursor={}",
    "/{}",
    "/healthz?{}=1",
)

HEADERS = ("X-Card", "User-Agent", "Referer", "Cookie", "Traceparent", "X-Forwarded-For", "Origin")
