"""Charging a card: approved, declined, or sent to the payer's bank for a 3-D Secure challenge."""

from sandbox import saved_methods, serialisation
from sandbox.attempts import Terms, approve, fail, new_charge
from sandbox.capture_window import capture_window
from sandbox.cards import DECLINES, expired
from sandbox.challenges import challenge
from sandbox.context import Context
from sandbox.errors import Reply, error_fields
from sandbox.events import emit
from sandbox.store import Json, Record

_AUTHENTICATE = "authenticate:"
_AUTHENTICATE_ONCE = "authenticate_once:"
_DECLINE = "decline:"


def charge_card(context: Context, intent: Json, method: Record, terms: Terms) -> Reply:
    """200 with the intent, or 402 with a card error."""
    card = method.body["card"]
    behaviour: str = method.private["behaviour"]
    if expired(card["exp_month"], card["exp_year"], context.now):
        return _decline(context, intent, method, "expired_card", None)
    if not behaviour.startswith((_AUTHENTICATE, _AUTHENTICATE_ONCE)):
        return _settle(context, intent, method, behaviour, None)
    if not terms.payer_absent:
        return challenge(context, intent, terms)
    if behaviour.startswith(_AUTHENTICATE_ONCE) and method.private.get("set_up"):
        return _settle(context, intent, method, behaviour.partition(":")[2], None)
    return _decline(context, intent, method, "authentication_required", None)


def authenticated(context: Context, intent: Json, method: Record) -> None:
    """The payer's bank knows the payer: go on with the payment."""
    behaviour = method.private["behaviour"].partition(":")[2]
    _settle(context, intent, method, behaviour, serialisation.three_d_secure(authenticated=True))


def not_authenticated(context: Context, intent: Json, method: Record) -> None:
    error = error_fields(
        "invalid_request_error",
        "The payer's bank could not authenticate the payment method.",
        "payment_intent_authentication_failure",
        payment_method=method.body,
        payment_method_type="card",
    )
    fail(context, intent, error)


def _settle(
    context: Context, intent: Json, method: Record, behaviour: str, secure: Json | None
) -> Reply:
    if behaviour.startswith(_DECLINE):
        reason = behaviour.removeprefix(_DECLINE)
        return _decline(context, intent, method, reason, secure)
    charge = _new_charge(context, intent, method.body, None, secure)
    window = capture_window(context.store)
    if intent["capture_method"] == "manual":
        charge["payment_method_details"]["card"]["capture_before"] = context.now + window
    reply = approve(context, intent, charge, window)
    saved_methods.keep(context, intent, method, payer_agreed=secure is not None)
    return reply


def _decline(
    context: Context, intent: Json, method: Record, reason: str, secure: Json | None
) -> Reply:
    decline = DECLINES[reason]
    outcome = serialisation.outcome(reason, decline.advice, decline.network_code)
    charge = _new_charge(context, intent, method.body, outcome, secure)
    if reason == "incorrect_cvc":
        charge["payment_method_details"]["card"]["checks"]["cvc_check"] = "fail"
    charge.update(status="failed", failure_code=decline.code, failure_message=decline.message)
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
    fail(context, intent, error)
    return Reply({"error": {**error, "payment_intent": intent}}, 402)


def _new_charge(
    context: Context, intent: Json, method: Json, outcome: Json | None, secure: Json | None
) -> Json:
    charge = new_charge(context, intent, method, outcome)
    card = charge["payment_method_details"]["card"]
    card["three_d_secure"] = secure
    if card["checks"]["cvc_check"] == "unchecked":
        card["checks"]["cvc_check"] = "pass"
    return charge
