"""Charging a method: approved, declined, or sent to the payer's bank for a challenge."""

from dataclasses import dataclass
from typing import Any

from sandbox import ledger, serialisation
from sandbox.cards import DECLINES, expired
from sandbox.context import Context
from sandbox.errors import Reply, error_fields
from sandbox.events import emit
from sandbox.ids import random_text
from sandbox.store import Json, Record

CAPTURE_WINDOW = 7 * 24 * 3600
EXPIRE_CAPTURE = "expire_capture"
RAISE_DISPUTE = "raise_dispute"
_AUTHENTICATE = "authenticate:"
_DECLINE = "decline:"


@dataclass(frozen=True)
class Terms:
    """What the caller said about the payer: present or not, and where to send them back."""

    return_url: str | None
    payer_absent: bool


def attempt(context: Context, intent: Json, method: Record, terms: Terms) -> Reply:
    """Charge `method` for the whole intent: 200 with the intent, or 402 with a card error."""
    card = method.body["card"]
    behaviour: str = method.private["behaviour"]
    if expired(card["exp_month"], card["exp_year"], context.now):
        behaviour = "decline:expired_card"
    intent.update(payment_method=method.body["id"], last_payment_error=None, next_action=None)
    if not behaviour.startswith(_AUTHENTICATE):
        return _settle(context, intent, method, behaviour, None)
    if terms.payer_absent:
        return _decline(context, intent, method, "authentication_required", None)
    return _challenge(context, intent, terms.return_url)


def answer_challenge(context: Context, intent: Json, *, approved: bool) -> None:
    """What the payer's bank found: go on with the payment, or fail it."""
    method = context.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if not approved:
        error = error_fields(
            "invalid_request_error",
            "The payer's bank could not authenticate the payment method.",
            "payment_intent_authentication_failure",
            payment_method=method.body,
            payment_method_type="card",
        )
        _fail(context, intent, error)
        return
    behaviour = method.private["behaviour"].removeprefix(_AUTHENTICATE)
    secure = serialisation.three_d_secure(authenticated=True)
    _settle(context, intent, method, behaviour, secure)


def cancel(context: Context, intent: Json, reason: str | None) -> None:
    """End an intent that holds no captured money; whatever it held is released."""
    if intent["amount_capturable"]:
        ledger.move(context, "released", intent, intent["amount_capturable"])
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
    charge["payment_method_details"]["card"].pop("capture_before", None)
    charge.update(captured=True, amount_captured=amount)
    intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
    context.store.save(charge)
    context.store.save(intent)
    method = context.store.find("payment_method", charge["payment_method"])
    if method is not None and "dispute:" in method.private["behaviour"]:
        due = context.clock.now() + context.settings.settle_seconds
        context.store.set_timer(due, RAISE_DISPUTE, charge["id"])


def _settle(
    context: Context, intent: Json, method: Record, behaviour: str, secure: Json | None
) -> Reply:
    if behaviour.startswith(_DECLINE):
        reason = behaviour.removeprefix(_DECLINE)
        return _decline(context, intent, method, reason, secure)
    return _approve(context, intent, method, secure)


def _approve(context: Context, intent: Json, method: Record, secure: Json | None) -> Reply:
    outcome = serialisation.outcome(None, None, None)
    charge = _new_charge(context, intent, method.body, outcome, secure)
    charge.update(status="succeeded", paid=True)
    intent.update(latest_charge=charge["id"], status="requires_capture")
    ledger.move(context, "authorized", intent, intent["amount"])
    if intent["capture_method"] == "manual":
        deadline = context.now + CAPTURE_WINDOW
        charge["payment_method_details"]["card"]["capture_before"] = deadline
        intent["amount_capturable"] = intent["amount"]
        context.store.insert("charge", charge)
        context.store.save(intent)
        context.store.set_timer(deadline, EXPIRE_CAPTURE, intent["id"])
        emit(context, "charge.succeeded", charge)
        emit(context, "payment_intent.amount_capturable_updated", intent)
    else:
        context.store.insert("charge", charge)
        captured(context, intent, charge, intent["amount"])
        emit(context, "charge.succeeded", charge)
        emit(context, "payment_intent.succeeded", intent)
    return Reply(intent)


def _decline(
    context: Context, intent: Json, method: Record, reason: str, secure: Json | None
) -> Reply:
    decline = DECLINES[reason]
    outcome = serialisation.outcome(reason, decline.advice, decline.network_code)
    charge = _new_charge(context, intent, method.body, outcome, secure)
    if reason == "incorrect_cvc":
        charge["payment_method_details"]["card"]["checks"]["cvc_check"] = "fail"
    charge.update(status="failed", failure_code=decline.code, failure_message=decline.message)
    intent["latest_charge"] = charge["id"]
    context.store.insert("charge", charge)
    emit(context, "charge.failed", charge)
    error = error_fields(
        "card_error",
        decline.message,
        decline.code,
        advice_code=decline.advice,
        charge=charge["id"],
        decline_code=reason,
        network_decline_code=decline.network_code,
        param="cvc" if reason == "incorrect_cvc" else None,
        payment_method=method.body,
    )
    _fail(context, intent, error)
    return Reply({"error": {**error, "payment_intent": intent}}, 402)


def _fail(context: Context, intent: Json, error: Json) -> None:
    intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    context.store.save(intent)
    emit(context, "payment_intent.payment_failed", intent)


def _challenge(context: Context, intent: Json, return_url: str | None) -> Reply:
    challenge = random_text(32)
    page = f"{context.settings.base_url}/challenge/{intent['id']}/{challenge}"
    action: dict[str, Any]
    if return_url is not None:
        action = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": page},
        }
    else:
        action = {
            "type": "use_stripe_sdk",
            "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": page},
        }
    intent.update(status="requires_action", next_action=action)
    context.store.save(intent, {"challenge": challenge, "return_url": return_url})
    emit(context, "payment_intent.requires_action", intent)
    return Reply(intent)


def _new_charge(
    context: Context, intent: Json, method: Json, outcome: Json, secure: Json | None
) -> Json:
    charge = serialisation.charge(context.now, intent, method, outcome)
    card = charge["payment_method_details"]["card"]
    card["three_d_secure"] = secure
    if card["checks"]["cvc_check"] == "unchecked":
        card["checks"]["cvc_check"] = "pass"
    return charge
