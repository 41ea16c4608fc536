"""Refunds: never more than was captured. The bank settles them a little later.

Until then a refund to a card has succeeded as far as anyone knows; any other way takes its time and
is pending.
"""

import copy

from sandbox import balance, ledger, serialisation
from sandbox.context import Context
from sandbox.currencies import checked_step
from sandbox.disputes import blocks_refunds
from sandbox.errors import Reply, invalid, refused
from sandbox.events import changes, emit
from sandbox.forms import Params
from sandbox.ids import random_text
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

SETTLE_REFUND = "settle_refund"
_URL = "/v1/refunds"
_CREATE = frozenset({"amount", "charge", "metadata", "payment_intent", "reason"})
_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def settle_refund(context: Context, refund_id: str) -> None:
    """The payer's bank answers: the refund arrives, or is sent back."""
    refund = context.get("refund", refund_id).body
    if refund["status"] not in ("pending", "succeeded"):
        return
    before = copy.deepcopy(refund)
    charge = context.get("charge", refund["charge"]).body
    refund.pop("pending_reason", None)
    if _behaviour(context, charge) == "refund:fails":
        refund.update(status="failed", failure_reason="expired_or_canceled_card")
        _refer(refund, "unavailable", None)
        intent = context.get("payment_intent", refund["payment_intent"]).body
        ledger.move(context, "refund_returned", intent, refund["amount"])
        returned = balance.refund_returned(context, refund)
        refund["failure_balance_transaction"] = returned["id"]
        _add_refunded(charge, -refund["amount"])
        context.store.save(charge)
    else:
        refund["status"] = "succeeded"
        _refer(refund, "available", random_text(23).upper())
    context.store.save(refund)
    emit(context, "refund.updated", refund, changes(before, refund))
    if refund["status"] == "failed":
        emit(context, "refund.failed", refund)


def _refer(refund: Json, status: str, reference: str | None) -> None:
    """What the payer can ask their bank for, where the way back has such a thing."""
    details = refund["destination_details"][refund["destination_details"]["type"]]
    if "reference_status" in details:
        details["reference_status"] = status
        if reference is not None:
            details["reference"] = reference


def _create(context: Context, params: Params) -> Reply:
    amount = params.integer("amount")
    if amount is not None and amount < 1:
        raise invalid("amount must be at least 1.", "parameter_invalid_integer", "amount")
    reason = params.choice("reason", _REASONS)
    metadata = params.metadata({})
    intent, charge = _refunded(context, params)
    if charge["disputed"] and blocks_refunds(context, charge):
        raise refused("The charge is disputed.", "charge_disputed", charge=charge["id"])
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left == 0:
        message = "The charge is already refunded in full."
        raise refused(message, "charge_already_refunded", charge=charge["id"])
    if amount is not None and amount > left:
        raise refused("amount is more than what is left to refund.", param="amount")
    if amount is not None:
        checked_step(amount, charge["currency"])
    refund = serialisation.refund(context.now, charge, amount or left, reason, metadata)
    by_card = charge["payment_method_details"]["type"] == "card"
    if not by_card or _behaviour(context, charge) == "refund:pending":
        refund.update(status="pending", pending_reason="processing")
    before = {**charge}
    ledger.move(context, "refunded", intent, refund["amount"])
    refund["balance_transaction"] = balance.refunded(context, refund)["id"]
    _add_refunded(charge, refund["amount"])
    context.store.insert("refund", refund)
    context.store.save(charge)
    settled_at = context.clock.now() + context.settings.settle_seconds
    context.store.set_timer(settled_at, SETTLE_REFUND, refund["id"])
    emit(context, "refund.created", refund)
    emit(context, "charge.refunded", charge, changes(before, charge))
    return Reply(refund)


def _update(context: Context, params: Params, refund_id: str) -> Reply:
    refund = context.get("refund", refund_id).body
    before = copy.deepcopy(refund)
    refund["metadata"] = params.metadata(refund["metadata"])
    context.store.save(refund)
    if refund != before:
        emit(context, "refund.updated", refund, changes(before, refund))
    return Reply(refund)


def _cancel(context: Context, params: Params, refund_id: str) -> Reply:
    """Only a refund that waits for the payer could be canceled, and none here does."""
    status = context.get("refund", refund_id).body["status"]
    raise refused(f"A refund that is {status} cannot be canceled.")


def _retrieve(context: Context, params: Params, refund_id: str) -> Reply:
    return Reply(context.get("refund", refund_id).body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    for name in ("payment_intent", "charge"):
        if (value := params.text(name)) is not None:
            where.add(f"{name} = ?", value)
    return Reply(page(context, params, "refund", _URL, where))


def _refunded(context: Context, params: Params) -> tuple[Json, Json]:
    """The intent and the captured charge that the caller wants refunded."""
    charge_id, intent_id = params.text("charge"), params.text("payment_intent")
    if charge_id is not None:
        charge = context.get("charge", charge_id, "charge").body
        if intent_id not in (None, charge["payment_intent"]):
            raise invalid("The charge is not of that PaymentIntent.", param="payment_intent")
        intent = context.get("payment_intent", charge["payment_intent"]).body
    elif intent_id is not None:
        intent = context.get("payment_intent", intent_id, "payment_intent").body
        if intent["status"] != "succeeded":
            raise refused(
                "This PaymentIntent has no captured charge to refund.",
                "payment_intent_unexpected_state",
                payment_intent=intent,
            )
        charge = context.get("charge", intent["latest_charge"]).body
    else:
        raise params.absent("payment_intent")
    if not charge["captured"] or charge["status"] != "succeeded":
        raise refused("The charge is not captured.", charge=charge["id"], param="charge")
    return intent, charge


def _add_refunded(charge: Json, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]


def _behaviour(context: Context, charge: Json) -> str:
    return str(context.get("payment_method", charge["payment_method"]).private["behaviour"])


ROUTES = [
    Route("POST", _URL, _create, _CREATE),
    Route("GET", _URL, _list, LIST_PARAMS | {"payment_intent", "charge"}),
    Route("GET", _URL + "/{id}", _retrieve),
    Route("POST", _URL + "/{id}", _update, frozenset({"metadata"})),
    Route("POST", _URL + "/{id}/cancel", _cancel),
]
