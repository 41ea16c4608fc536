"""A request to hold money, in Stripe's words: a new PaymentIntent, or another try on one.

Sources: Stripe's API reference (create and confirm a PaymentIntent), version 2026-08-26.dahlia.
"""

from typing import Any

from app.domain.gateway import AuthorizeRequest
from app.domain.methods import FLOW, Flow
from app.gateways import stripe_money
from app.gateways.stripe_methods import WAYS

# The charge is expanded on the way to what it cost.
EXPAND = ["latest_charge.balance_transaction"]


def creation(request: AuthorizeRequest) -> Any:
    """A new PaymentIntent, confirmed at once."""
    params = _try(request) | {
        "amount": stripe_money.to_stripe(request.amount),
        "currency": request.amount.currency,
        "confirm": True,
        "metadata": {"order_id": request.order_id},
    }
    if request.customer is not None:
        params["customer"] = request.customer
    if _saves(request):
        params["setup_future_usage"] = "off_session"
    return params


def confirmation(request: AuthorizeRequest) -> Any:
    """Another try on a PaymentIntent, whose customer stays. What the try before wanted saved is
    forgotten."""
    return _try(request) | {"setup_future_usage": "off_session" if _saves(request) else ""}


def _saves(request: AuthorizeRequest) -> bool:
    """Stripe saves nothing without the shopper, and refuses to be asked."""
    return request.save and not request.off_session


def _try(request: AuthorizeRequest) -> dict[str, Any]:
    way = WAYS[request.method]
    params: dict[str, Any] = {
        # Not payment_method_types: refused from version 2026-09-30 on. Not automatic ones either:
        # a card would then need a return_url, for the others' sake.
        "allowed_payment_method_types": [way.stripe_type],
        "capture_method": "manual" if way.separate_capture else "automatic",
        "expand": EXPAND,
    }
    if request.token is not None:
        params["payment_method"] = request.token
    else:
        params["payment_method_data"] = {"type": way.stripe_type} | _billing_details(request)
    if request.return_url is not None:
        params["return_url"] = request.return_url
    if request.off_session:
        params["off_session"] = True
    elif request.mandate is not None and FLOW[request.method] is Flow.BANK_DEBIT:
        online = {
            "ip_address": request.mandate.ip_address,
            "user_agent": request.mandate.user_agent,
        }
        params["mandate_data"] = {"customer_acceptance": {"type": "online", "online": online}}
    return params


def _billing_details(request: AuthorizeRequest) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if request.email is not None:
        details["email"] = request.email
    if request.billing_country is not None:
        details["address"] = {"country": request.billing_country}
    return {"billing_details": details} if details else {}
