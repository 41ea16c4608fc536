"""Disputes: the payer's bank takes the money back, and the merchant may argue.

Evidence that contains `winning_evidence` wins the dispute and `losing_evidence` loses it, as in
Stripe's test mode; closing a dispute loses it.
"""

from sandbox import ledger
from sandbox.context import Context
from sandbox.errors import Reply, refused
from sandbox.events import emit
from sandbox.forms import Params
from sandbox.ids import new_id
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

_URL = "/v1/disputes"
_TIME_TO_ANSWER = 7 * 24 * 3600
_TEXTS = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)
_OPEN = ("needs_response", "under_review")


def raise_dispute(context: Context, charge_id: str) -> None:
    """The payer disputes the whole charge; what it brought in is taken back at once."""
    charge = context.get("charge", charge_id).body
    method = context.get("payment_method", charge["payment_method"])
    reason = method.private["behaviour"].removeprefix("dispute:")
    intent = context.get("payment_intent", charge["payment_intent"]).body
    dispute = _dispute(context, charge, reason)
    charge["disputed"] = True
    context.store.save(charge)
    context.store.insert("dispute", dispute)
    ledger.move(context, "disputed", intent, dispute["amount"])
    emit(context, "charge.dispute.created", dispute)
    emit(context, "charge.dispute.funds_withdrawn", dispute)


def blocks_refunds(context: Context, charge: Json) -> bool:
    """Whether a dispute of this charge is open or lost."""
    return any(
        dispute.body["charge"] == charge["id"] and dispute.body["status"] != "won"
        for dispute in context.store.all("dispute")
    )


def _dispute(context: Context, charge: Json, reason: str) -> Json:
    evidence = dict.fromkeys(_TEXTS)
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": charge["amount_captured"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": context.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**evidence, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": context.now + _TIME_TO_ANSWER,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


def _update(context: Context, params: Params, dispute_id: str) -> Reply:
    dispute = _open_dispute(context, dispute_id)
    given = params.group("evidence", frozenset(_TEXTS))
    submit = params.boolean("submit")
    dispute["metadata"] = params.metadata(dispute["metadata"])
    if given is not None:
        dispute["evidence"] |= {name: given.text(name) for name in _TEXTS if name in given}
        dispute["evidence_details"]["has_evidence"] = True
    verdict = None
    if submit is not False and given is not None:
        dispute["status"] = "under_review"
        dispute["evidence_details"]["submission_count"] += 1
        verdicts = {"winning_evidence": "won", "losing_evidence": "lost"}
        verdict = verdicts.get(given.text("uncategorized_text") or "")
    context.store.save(dispute)
    emit(context, "charge.dispute.updated", dispute)
    if verdict is not None:
        _end(context, dispute, verdict)
    return Reply(dispute)


def _close(context: Context, params: Params, dispute_id: str) -> Reply:
    dispute = _open_dispute(context, dispute_id)
    _end(context, dispute, "lost")
    return Reply(dispute)


def _end(context: Context, dispute: Json, verdict: str) -> None:
    dispute.update(status=verdict, is_charge_refundable=verdict == "won")
    context.store.save(dispute)
    if verdict == "won":
        intent = context.get("payment_intent", dispute["payment_intent"]).body
        ledger.move(context, "dispute_returned", intent, dispute["amount"])
        emit(context, "charge.dispute.funds_reinstated", dispute)
    emit(context, "charge.dispute.closed", dispute)


def _open_dispute(context: Context, dispute_id: str) -> Json:
    dispute = context.get("dispute", dispute_id).body
    if dispute["status"] not in _OPEN:
        raise refused("This dispute is closed.", param="dispute")
    return dispute


def _retrieve(context: Context, params: Params, dispute_id: str) -> Reply:
    return Reply(context.get("dispute", dispute_id).body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    for name in ("payment_intent", "charge"):
        if (value := params.text(name)) is not None:
            where.add(f"{name} = ?", value)
    return Reply(page(context, params, "dispute", _URL, where))


ROUTES = [
    Route("GET", _URL, _list, LIST_PARAMS | {"payment_intent", "charge"}),
    Route("GET", _URL + "/{id}", _retrieve),
    Route("POST", _URL + "/{id}", _update, frozenset({"evidence", "metadata", "submit"})),
    Route("POST", _URL + "/{id}/close", _close),
]
