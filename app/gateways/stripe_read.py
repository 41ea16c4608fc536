"""Stripe's objects, read as ours: payments, refunds, disputes and payment methods.

Sources: Stripe's API reference and its list of decline codes, version 2026-08-26.dahlia.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from app.domain.facts import Decline, NextAction, PaymentMethod
from app.domain.gateway import (
    Fee,
    GatewayDispute,
    GatewayPayment,
    GatewayRefund,
    Status,
    Token,
)
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.reversals import DisputeState, RefundState
from app.gateways import stripe_money, stripe_values

Object = Mapping[str, Any]
_Value = TypeVar("_Value")

_REFUND_NAME = re.compile(r"ref_[0-9a-f]{24}")
_STATUS = {
    "requires_payment_method": Status.NOTHING,
    "requires_confirmation": Status.NOTHING,
    "requires_action": Status.REQUIRES_ACTION,
    "processing": Status.PROCESSING,
    "requires_capture": Status.AUTHORIZED,
    "succeeded": Status.CAPTURED,
    "canceled": Status.VOIDED,
}
_REFUND_STATE = {
    "pending": RefundState.PENDING,
    "requires_action": RefundState.PENDING,
    "succeeded": RefundState.SUCCEEDED,
    "failed": RefundState.FAILED,
    "canceled": RefundState.FAILED,
}
_DISPUTE_STATE = {
    "needs_response": DisputeState.OPEN,
    "under_review": DisputeState.OPEN,
    "warning_needs_response": DisputeState.OPEN,
    "warning_under_review": DisputeState.OPEN,
    "warning_closed": DisputeState.WON,
    "prevented": DisputeState.WON,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
}
# The bank only inquires, or was answered before it took anything.
_TAKES_NO_MONEY = frozenset(
    {"warning_needs_response", "warning_under_review", "warning_closed", "prevented"}
)
_WALLETS = frozenset({Method.APPLE_PAY, Method.GOOGLE_PAY})
# Declines after which the same payment method must not be tried again. An expired card is none of
# them: the shopper may have mistyped the date.
_FINAL_DECLINES = frozenset(
    {
        "do_not_try_again",
        "fraudulent",
        "lost_card",
        "merchant_blacklist",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stolen_card",
        "stop_payment_order",
    }
)
# Stripe's own messages are for shoppers where it calls the failure a card's.
_MESSAGES = {
    "payment_intent_authentication_failure": "The payment was not approved: your bank could not "
    "confirm that it was you. Please try again or pay another way.",
    "payment_method_customer_decline": "The payment was canceled before it was approved.",
}
_NO_MESSAGE = "The payment was declined. Please pay another way."


def read_payment(intent: Object) -> GatewayPayment:
    """A PaymentIntent. Raises KeyError, TypeError or ValueError for what is none."""
    currency = intent["currency"]
    status = _STATUS[intent["status"]]
    failure = intent.get("last_payment_error")
    if status is Status.NOTHING and failure is not None:
        status = Status.DECLINED
    captured = _money(intent["amount_received"], currency).minor
    held = _money(intent["amount_capturable"], currency).minor
    used = _used(intent, failure if status is Status.DECLINED else None)
    return GatewayPayment(
        transaction_id=stripe_values.object_id(intent["id"]),
        order_id=read_order_id(intent),
        status=status,
        amount=_money(intent["amount"], currency),
        authorized=max(captured, held),
        captured=captured,
        method=read_method(used) if used is not None else None,
        decline=_decline(failure or {}) if status is Status.DECLINED else None,
        next_action=_next_action(intent) if status is Status.REQUIRES_ACTION else None,
        capture_before=_capture_before(used) if used is not None else None,
        fee=_charge_fee(intent.get("latest_charge")),
        created_at=_maybe(stripe_values.moment, intent.get("created")),
    )


def names_an_order(told: Object) -> bool:
    """Whether an object has an order in its metadata, of whatever name."""
    return _metadata(told).get("order_id") is not None


def read_order_id(told: Object) -> str | None:
    """The order that an object names in its metadata; None for what cannot be an order's id."""
    try:
        return _maybe(stripe_values.word, _metadata(told).get("order_id"))
    except ValueError:
        return None


def read_refund(refund: Object) -> GatewayRefund:
    """A refund of a PaymentIntent. Raises KeyError, TypeError or ValueError for what is none."""
    state = _REFUND_STATE.get(refund.get("status") or "", RefundState.PENDING)
    failed = state is RefundState.FAILED
    return GatewayRefund(
        refund_id=stripe_values.object_id(refund["id"]),
        transaction_id=stripe_values.object_id(refund["payment_intent"]),
        amount=_money(refund["amount"], refund["currency"]),
        state=state,
        name=_our_name(_metadata(refund).get("refund")),
        failure=stripe_values.word(refund.get("failure_reason") or refund["status"])
        if failed
        else None,
    )


def read_dispute(dispute: Object) -> GatewayDispute:
    """A dispute of a PaymentIntent. Raises KeyError, TypeError or ValueError for what is none."""
    amount = _money(dispute["amount"], dispute["currency"])
    due_by = (dispute.get("evidence_details") or {}).get("due_by")
    return GatewayDispute(
        dispute_id=stripe_values.object_id(dispute["id"]),
        transaction_id=stripe_values.object_id(dispute["payment_intent"]),
        amount=amount.of(0) if dispute["status"] in _TAKES_NO_MONEY else amount,
        state=_DISPUTE_STATE[dispute["status"]],
        reason=_maybe(stripe_values.word, dispute.get("reason")),
        evidence_due_by=_maybe(stripe_values.moment, due_by),
        fees=tuple(filter(None, map(_fee, dispute.get("balance_transactions") or []))),
    )


def read_token(method: Object) -> Token:
    """A PaymentMethod."""
    return Token(method["id"], read_method(method))


def read_method(told: Object) -> PaymentMethod:
    """What may be shown of a PaymentMethod, or of a charge's payment_method_details."""
    details = _details(told)
    return PaymentMethod(
        _type(stripe_values.word(told["type"]), details),
        brand=_maybe(stripe_values.word, details.get("brand")),
        last4=_maybe(stripe_values.last_digits, details.get("last4")),
        fingerprint=_maybe(stripe_values.word, details.get("fingerprint")),
    )


def _type(stripe_type: str, details: Object) -> str:
    if stripe_type == "us_bank_account":
        return Method.ACH_DEBIT.value
    if stripe_type != "card":
        return stripe_type
    wallet = (details.get("wallet") or {}).get("type")
    if wallet in _WALLETS:
        return str(wallet)
    debit = details.get("funding") == "debit"
    return (Method.DEBIT_CARD if debit else Method.CREDIT_CARD).value


def _details(told: Object) -> Object:
    """The part that is of the payment method's own type."""
    details: Object | None = told.get(told["type"])
    return details or {}


def _used(intent: Object, failure: Object | None) -> Object | None:
    """The method that failed, or else that was charged. None where Stripe does not show it: a
    callback names the charge only, and a charge before the latest try is another method's."""
    if failure is not None:
        failed: Object | None = failure.get("payment_method")
        return failed
    charge = intent.get("latest_charge")
    if not isinstance(charge, dict) or charge["payment_method"] != intent["payment_method"]:
        return None
    return charge.get("payment_method_details")


def _decline(failure: Object) -> Decline:
    code = stripe_values.word(failure.get("decline_code") or failure.get("code") or "declined")
    message = failure.get("message") if failure.get("type") == "card_error" else None
    message = _maybe(stripe_values.message, message)
    return Decline(
        code,
        message or _MESSAGES.get(code, _NO_MESSAGE),
        retryable=code not in _FINAL_DECLINES,
    )


def _next_action(intent: Object) -> NextAction:
    action = intent.get("next_action") or {}
    if action.get("type") == "redirect_to_url":
        return NextAction("redirect", url=stripe_values.text(action["redirect_to_url"]["url"]))
    client_secret = _maybe(stripe_values.text, intent.get("client_secret"))
    return NextAction("use_gateway_sdk", client_secret=client_secret)


def _capture_before(used: Object) -> datetime | None:
    return _maybe(stripe_values.moment, _details(used).get("capture_before"))


def _charge_fee(charge: object) -> Fee | None:
    """None until the charge is captured, and where Stripe shows the ids only."""
    movement = charge.get("balance_transaction") if isinstance(charge, dict) else None
    return _fee(movement) if isinstance(movement, dict) else None


def _fee(movement: Object) -> Fee | None:
    """What a balance transaction cost. One that cost nothing, or brought a fee back, tells none."""
    if movement["fee"] <= 0:
        return None
    amount = _money(movement["fee"], movement["currency"])
    return Fee(stripe_values.object_id(movement["id"]), amount)


def _money(amount: Any, currency: Any) -> Money:
    return stripe_money.from_stripe(stripe_values.amount(amount), currency)


def _metadata(told: Object) -> Object:
    metadata: Object | None = told.get("metadata")
    return metadata or {}


def _maybe(read: Callable[[Any], _Value], value: Any) -> _Value | None:
    return read(value) if value is not None else None


def _our_name(name: Any) -> str | None:
    """Anybody at the dashboard may type metadata: only what looks like a name of ours is one."""
    return name if isinstance(name, str) and _REFUND_NAME.fullmatch(name) else None
