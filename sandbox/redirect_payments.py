"""Paying where the payer is sent: iDEAL at their bank, a PayPal or a Klarna account."""

from sandbox import saved_methods
from sandbox.attempts import Terms, approve, fail, new_charge
from sandbox.challenges import challenge
from sandbox.context import Context
from sandbox.errors import Reply, error_fields, refused
from sandbox.method_types import TYPES
from sandbox.store import Json, Record


def redirect(context: Context, intent: Json, method: Record, terms: Terms) -> Reply:
    """Send the payer; without the payer only what they set up before goes through."""
    if not terms.payer_absent:
        return challenge(context, intent, terms)
    if method.private.get("set_up"):
        return agreed(context, intent, method)
    raise refused(
        "The payer has to be sent elsewhere to agree, and is not there.",
        "payment_intent_incompatible_payment_method",
        param="payment_method",
        payment_method_type=method.body["type"],
    )


def agreed(context: Context, intent: Json, method: Record) -> Reply:
    """The payer said yes, now or when the method was set up."""
    charge = new_charge(context, intent, method.body)
    reply = approve(context, intent, charge, TYPES[method.body["type"]].held_for)
    saved_methods.keep(context, intent, method, payer_agreed=True)
    return reply


def called_off(context: Context, intent: Json, method: Record) -> None:
    """The payer said no."""
    error = error_fields(
        "invalid_request_error",
        "The payer called the payment off.",
        "payment_method_customer_decline",
        payment_method=method.body,
        payment_method_type=method.body["type"],
    )
    fail(context, intent, error)
