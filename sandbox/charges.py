"""Charges: retrieve and list. They come into being by confirming a PaymentIntent."""

from sandbox.context import Context
from sandbox.errors import Reply
from sandbox.forms import Params
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route

_URL = "/v1/charges"


def _retrieve(context: Context, params: Params, charge_id: str) -> Reply:
    return Reply(context.get("charge", charge_id).body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    for name in ("payment_intent", "customer"):
        if (value := params.text(name)) is not None:
            where.add(f"{name} = ?", value)
    return Reply(page(context, params, "charge", _URL, where))


ROUTES = [
    Route("GET", _URL, _list, LIST_PARAMS | {"payment_intent", "customer"}),
    Route("GET", _URL + "/{id}", _retrieve),
]
