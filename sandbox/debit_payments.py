"""Debiting a bank account: nobody knows for days whether the money comes."""

from sandbox import ledger, saved_methods, serialisation
from sandbox.attempts import Terms, captured, fail, new_charge
from sandbox.bank_accounts import FAILURES
from sandbox.context import Context
from sandbox.errors import Reply, error_fields, invalid
from sandbox.events import emit
from sandbox.ids import new_id
from sandbox.store import Json, Record

SETTLE_DEBIT = "settle_debit"
_FAILS = "fails:"


def debit(context: Context, intent: Json, method: Record, terms: Terms) -> Reply:
    """Hand the debit to the payer's bank. Raises ApiError (400) without the payer's mandate.

    A method that a customer keeps stands by the mandate that it was debited under before.
    """
    kind = method.body["type"]
    if terms.mandate_given:
        method.private["mandate"] = new_id("mandate")
    elif "mandate" not in method.private or method.body["customer"] is None:
        raise invalid(
            f"A payment by {kind} needs the payer's mandate: say in mandate_data how it was given.",
            "parameter_missing",
            "mandate_data",
        )
    context.store.save(method.body, method.private)
    charge = new_charge(context, intent, method.body)
    charge["payment_method_details"][kind]["mandate"] = method.private["mandate"]
    intent["status"] = "processing"
    context.store.insert("charge", charge)
    context.store.save(intent)
    due = context.clock.now() + context.settings.debit_seconds
    context.store.set_timer(due, SETTLE_DEBIT, intent["id"])
    emit(context, "payment_intent.processing", intent)
    emit(context, "charge.pending", charge)
    saved_methods.keep(context, intent, method, payer_agreed=True)
    return Reply(intent)


def settle_debit(context: Context, intent_id: str) -> None:
    """The bank answers: the money came, or it did not."""
    intent = context.get("payment_intent", intent_id).body
    charge = context.get("charge", intent["latest_charge"]).body
    method = context.get("payment_method", charge["payment_method"])
    behaviour: str = method.private["behaviour"]
    if behaviour.startswith(_FAILS):
        _bounce(context, intent, charge, method, behaviour.removeprefix(_FAILS))
        return
    charge.update(status="succeeded", paid=True)
    ledger.move(context, "authorized", intent, intent["amount"])
    captured(context, intent, charge, intent["amount"])
    emit(context, "charge.succeeded", charge)
    emit(context, "payment_intent.succeeded", intent)


def _bounce(context: Context, intent: Json, charge: Json, method: Record, reason: str) -> None:
    charge.update(
        status="failed",
        failure_code=reason,
        failure_message=FAILURES[reason],
        outcome=serialisation.outcome(reason, None, None),
    )
    context.store.save(charge)
    emit(context, "charge.failed", charge)
    error = error_fields(
        "invalid_request_error",
        FAILURES[reason],
        "payment_intent_payment_attempt_failed",
        charge=charge["id"],
        decline_code=reason,
        payment_method=method.body,
        payment_method_type=method.body["type"],
    )
    fail(context, intent, error)
