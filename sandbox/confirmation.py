"""Confirming a PaymentIntent: each family of methods in its own way."""

from sandbox.attempts import Terms
from sandbox.card_payments import authenticated, charge_card, not_authenticated
from sandbox.context import Context
from sandbox.debit_payments import debit
from sandbox.errors import Reply
from sandbox.method_types import TYPES
from sandbox.redirect_payments import agreed, called_off, redirect
from sandbox.store import Json, Record

_PAY = {"card": charge_card, "redirect": redirect, "debit": debit}


def attempt(context: Context, intent: Json, method: Record, terms: Terms) -> Reply:
    """Charge `method` for the whole intent: 200 with the intent, or 402 with a card error."""
    intent.update(payment_method=method.body["id"], last_payment_error=None, next_action=None)
    return _PAY[TYPES[method.body["type"]].family](context, intent, method, terms)


def answer_challenge(context: Context, intent: Json, *, approved: bool) -> None:
    """What the payer, or their bank, said on the page: go on with the payment, or fail it."""
    method = context.get("payment_method", intent["payment_method"])
    if method.body["type"] == "card":
        (authenticated if approved else not_authenticated)(context, intent, method)
    else:
        (agreed if approved else called_off)(context, intent, method)
