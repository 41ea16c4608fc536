"""What becomes of an attempt to pay: held, taken, failed, cancelled, or left to expire.

How a method gets there is the business of its family: card_payments.py, redirect_payments.py,
debit_payments.py.
"""

from dataclasses import dataclass

from sandbox import balance, ledger, serialisation
from sandbox.context import Context
from sandbox.errors import Reply
from sandbox.events import emit
from sandbox.store import Json

EXPIRE_CAPTURE = "expire_capture"
RAISE_DISPUTE = "raise_dispute"


@dataclass(frozen=True)
class Terms:
    """What the caller said about the payer: present or not, where to send them back, a mandate."""

    return_url: str | None
    payer_absent: bool
    mandate_given: bool


def new_charge(context: Context, intent: Json, method: Json, outcome: Json | None = None) -> Json:
    """A charge of the whole intent; it is the caller's to finish and to write down."""
    approved = serialisation.outcome(None, None, None)
    charge = serialisation.charge(context.now, intent, method, outcome or approved)
    intent["latest_charge"] = charge["id"]
    return charge


def approve(context: Context, intent: Json, charge: Json, window: int) -> Reply:
    """Hold the money, for `window` seconds at most when it is captured later; else take it."""
    charge.update(status="succeeded", paid=True)
    intent.update(status="requires_capture", next_action=None)
    ledger.move(context, "authorized", intent, intent["amount"])
    context.store.insert("charge", charge)
    if intent["capture_method"] == "manual":
        intent["amount_capturable"] = intent["amount"]
        context.store.save(intent)
        context.store.set_timer(context.now + window, EXPIRE_CAPTURE, intent["id"])
        emit(context, "charge.succeeded", charge)
        emit(context, "payment_intent.amount_capturable_updated", intent)
    else:
        captured(context, intent, charge, intent["amount"])
        emit(context, "charge.succeeded", charge)
        emit(context, "payment_intent.succeeded", intent)
    return Reply(intent)


def fail(context: Context, intent: Json, error: Json) -> None:
    """Back to the start, with the reason; another method may be tried."""
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        last_payment_error=error,
        next_action=None,
    )
    context.store.save(intent)
    emit(context, "payment_intent.payment_failed", intent)


def cancel(context: Context, intent: Json, reason: str | None) -> None:
    """End an intent that holds no captured money; whatever it held is released."""
    if intent["amount_capturable"]:
        ledger.move(context, "released", intent, intent["amount_capturable"])
    context.store.clear_timer(EXPIRE_CAPTURE, intent["id"])
    intent.update(
        status="canceled",
        amount_capturable=0,
        canceled_at=context.now,
        cancellation_reason=reason,
        next_action=None,
    )
    context.store.save(intent)
    emit(context, "payment_intent.canceled", intent)


def expire_capture(context: Context, intent_id: str) -> None:
    """The capture window is over: release the money and cancel, unless it was captured."""
    intent = context.get("payment_intent", intent_id).body
    if intent["status"] != "requires_capture":
        return
    emit(context, "charge.expired", context.get("charge", intent["latest_charge"]).body)
    cancel(context, intent, "automatic")


def captured(context: Context, intent: Json, charge: Json, amount: int) -> None:
    """Take `amount` of what was authorised and release the rest; the events are the caller's."""
    ledger.move(context, "captured", intent, amount)
    if amount < intent["amount"]:
        ledger.move(context, "released", intent, intent["amount"] - amount)
    details = charge["payment_method_details"]
    details[details["type"]].pop("capture_before", None)
    charge.update(captured=True, amount_captured=amount)
    charge["balance_transaction"] = balance.charged(context, charge)["id"]
    context.store.clear_timer(EXPIRE_CAPTURE, intent["id"])
    intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
    context.store.save(charge)
    context.store.save(intent)
    method = context.store.find("payment_method", charge["payment_method"])
    if method is not None and "dispute:" in method.private["behaviour"]:
        due = context.clock.now() + context.settings.settle_seconds
        context.store.set_timer(due, RAISE_DISPUTE, charge["id"])
