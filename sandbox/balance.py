"""Balance transactions: what every movement of captured money did to the merchant's balance.

The balance is kept in the currency of each payment, nothing is exchanged, and all of it is
available at once.
"""

from sandbox.context import Context
from sandbox.currencies import step
from sandbox.errors import Reply, unfit
from sandbox.forms import Params
from sandbox.ids import new_id
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

_URL = "/v1/balance_transactions"
# What the gateway keeps, in steps of the currency: cents, whole yen.
_FEE_PER_MILLE = 29
_FEE_FIXED = 30
_FEE_OF_A_DISPUTE = 1500


def charged(context: Context, charge: Json) -> Json:
    """The captured money comes in, less the fee."""
    amount, smallest = charge["amount_captured"], step(charge["currency"])
    share = (amount * _FEE_PER_MILLE + 500 * smallest) // (1000 * smallest)
    kind = "charge" if charge["payment_method_details"]["type"] == "card" else "payment"
    return _book(context, kind, "charge", charge, amount, (share + _FEE_FIXED) * smallest)


def refunded(context: Context, refund: Json) -> Json:
    """The refund leaves with the request, long before it arrives. Fees are kept."""
    kind = "refund" if refund["id"].startswith("re_") else "payment_refund"
    return _book(context, kind, "refund", refund, -refund["amount"])


def refund_returned(context: Context, refund: Json) -> Json:
    """The payer's bank sent the refund back."""
    return _book(context, "refund_failure", "refund_failure", refund, refund["amount"])


def disputed(context: Context, dispute: Json) -> Json:
    """The payer's bank took its money back, and the gateway a fee."""
    fee = _FEE_OF_A_DISPUTE * step(dispute["currency"])
    return _book(context, "adjustment", "dispute", dispute, -dispute["amount"], fee)


def dispute_returned(context: Context, dispute: Json) -> Json:
    """The dispute was won; its fee is kept."""
    return _book(context, "adjustment", "dispute_reversal", dispute, dispute["amount"])


def pay_out(context: Context, currency: str, amount: int | None) -> Json:
    """Send `amount`, or all there is, to the merchant's bank. ApiError (422) for more than that."""
    (there,) = context.store.db.execute(
        "SELECT coalesce(sum(json_extract(body, '$.net')), 0) FROM objects "
        "WHERE kind = 'balance_transaction' AND json_extract(body, '$.currency') = ?",
        (currency,),
    ).fetchone()
    wanted = there if amount is None else amount
    if not 0 < wanted <= there:
        raise unfit(f"There are {there} {currency} to pay out.")
    payout = {"id": new_id("po"), "currency": currency}
    return _book(context, "payout", "payout", payout, -wanted)


def _book(
    context: Context, kind: str, category: str, source: Json, amount: int, fee: int = 0
) -> Json:
    currency = source["currency"]
    details = {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "The gateway's fee",
        "type": "stripe_fee",
    }
    transaction = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": context.now,
        "balance_type": "payments",
        "created": context.now,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [details] if fee else [],
        "net": amount - fee,
        "reporting_category": category,
        "source": source["id"],
        "status": "available",
        "type": kind,
    }
    context.store.insert("balance_transaction", transaction)
    return transaction


def _retrieve(context: Context, params: Params, transaction_id: str) -> Reply:
    return Reply(context.get("balance_transaction", transaction_id).body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    if (kind := params.text("type")) is not None:
        where.add("type = ?", kind)
    return Reply(page(context, params, "balance_transaction", _URL, where))


ROUTES = [
    Route("GET", _URL, _list, LIST_PARAMS | {"type"}),
    Route("GET", _URL + "/{id}", _retrieve),
]
