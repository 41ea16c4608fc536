"""Disputes: the payer's bank takes the money back, and the merchant may argue.

Submitted evidence whose text is `winning_evidence` wins the dispute and `losing_evidence` loses
it, as in Stripe's test mode; other evidence waits for the bank's verdict. Closing a dispute loses
it, and so does saying nothing until it is due.
"""

import copy
import json

from sandbox import balance, ledger
from sandbox.context import Context
from sandbox.errors import Reply, refused, unfit
from sandbox.events import changes, emit
from sandbox.forms import Params
from sandbox.ids import new_id
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

EXPIRE_DISPUTE = "expire_dispute"
REASONS = {
    "credit_not_processed": "13.6",
    "duplicate": "12.6.1",
    "fraudulent": "10.4",
    "general": "12.5",
    "product_not_received": "13.1",
    "product_unacceptable": "13.3",
    "subscription_canceled": "13.2",
    "unrecognized": "10.4",
}
"""Why a card is disputed, and Visa's code for it."""
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
_LONGEST_TEXT = 20_000
_OPEN = ("needs_response", "under_review")
_VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost"}


def raise_ordered_dispute(context: Context, charge_id: str) -> None:
    """The payer of a card that always disputes does so, unless the money went back already."""
    charge = context.get("charge", charge_id).body
    method = context.get("payment_method", charge["payment_method"])
    reason = method.private["behaviour"].rpartition("dispute:")[2]
    if disputable(context, charge):
        raise_dispute(context, charge, reason)


def raise_dispute(
    context: Context,
    charge: Json,
    reason: str,
    amount: int | None = None,
    answer_within: int | None = None,
) -> Json:
    """The bank takes back `amount`, or whatever is left of the charge, and wants evidence within
    so many seconds, or 7 days.

    Raises ApiError (422) when the charge is none that a card's bank could dispute.
    """
    left = disputable(context, charge)
    if charge["payment_method_details"]["type"] != "card" or left == 0:
        raise unfit("Only captured money of a card that did not go back can be disputed.")
    if amount is not None and amount > left:
        raise unfit(f"Only {left} of this charge is left to dispute.")
    intent = context.get("payment_intent", charge["payment_intent"]).body
    due_by = context.now + (answer_within or _TIME_TO_ANSWER)
    dispute = _dispute(context, charge, reason, amount or left, due_by)
    dispute["balance_transactions"].append(balance.disputed(context, dispute))
    charge["disputed"] = True
    context.store.save(charge)
    context.store.insert("dispute", dispute)
    context.store.set_timer(due_by, EXPIRE_DISPUTE, dispute["id"])
    ledger.move(context, "disputed", intent, dispute["amount"])
    emit(context, "charge.dispute.created", dispute)
    emit(context, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def disputable(context: Context, charge: Json) -> int:
    """What was captured and neither refunded nor taken back."""
    taken = sum(dispute["amount"] for dispute in _standing(context, charge))
    return int(charge["amount_captured"] - charge["amount_refunded"] - taken)


def blocks_refunds(context: Context, charge: Json) -> bool:
    """Whether a dispute of this charge is open or lost."""
    return bool(_standing(context, charge))


def decide(context: Context, dispute_id: str, verdict: str) -> Json:
    """The bank's verdict, won or lost. Raises ApiError: 404 unknown, 400 closed."""
    dispute = _open_dispute(context, dispute_id)
    _end(context, dispute, verdict)
    return dispute


def expire_dispute(context: Context, dispute_id: str) -> None:
    """The time to answer is over: without evidence the dispute is lost."""
    dispute = context.get("dispute", dispute_id).body
    if dispute["status"] == "needs_response":
        dispute["evidence_details"]["past_due"] = True
        _end(context, dispute, "lost")


def _standing(context: Context, charge: Json) -> list[Json]:
    """The disputes of a charge that hold its money: open or lost."""
    rows = context.store.db.execute(
        "SELECT body FROM objects WHERE kind = 'dispute' AND charge = ?", (charge["id"],)
    )
    disputes = [json.loads(body) for (body,) in rows]
    return [dispute for dispute in disputes if dispute["status"] != "won"]


def _dispute(context: Context, charge: Json, reason: str, amount: int, due_by: int) -> Json:
    evidence = dict.fromkeys(_TEXTS)
    card = charge["payment_method_details"]["card"]
    return {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": context.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**evidence, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": due_by,
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
                "brand": card["brand"],
                "case_type": "chargeback",
                "network": card["network"],
                "network_reason_code": REASONS[reason] if card["network"] == "visa" else None,
            },
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


def _update(context: Context, params: Params, dispute_id: str) -> Reply:
    dispute = _open_dispute(context, dispute_id)
    before = copy.deepcopy(dispute)
    given = params.group("evidence", frozenset(_TEXTS))
    evidence, details = dispute["evidence"], dispute["evidence_details"]
    dispute["metadata"] = params.metadata(dispute["metadata"])
    if given is not None:
        evidence |= {name: given.text(name, _LONGEST_TEXT) for name in _TEXTS if name in given}
        details["has_evidence"] = any(evidence[name] is not None for name in _TEXTS)
    # What was only laid ready before is handed in by the first call that does not say no.
    news = given is not None or dispute["status"] == "needs_response"
    submitted = params.boolean("submit") is not False and details["has_evidence"] and news
    if submitted:
        dispute["status"] = "under_review"
        details["submission_count"] += 1
    context.store.save(dispute)
    emit(context, "charge.dispute.updated", dispute, changes(before, dispute))
    verdict = _VERDICTS.get(evidence["uncategorized_text"] or "") if submitted else None
    if verdict is not None:
        _end(context, dispute, verdict)
    return Reply(dispute)


def _close(context: Context, params: Params, dispute_id: str) -> Reply:
    return Reply(decide(context, dispute_id, "lost"))


def _end(context: Context, dispute: Json, verdict: str) -> None:
    dispute.update(status=verdict, is_charge_refundable=verdict == "won")
    context.store.clear_timer(EXPIRE_DISPUTE, dispute["id"])
    if verdict == "won":
        intent = context.get("payment_intent", dispute["payment_intent"]).body
        ledger.move(context, "dispute_returned", intent, dispute["amount"])
        dispute["balance_transactions"].append(balance.dispute_returned(context, dispute))
    context.store.save(dispute)
    if verdict == "won":
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
