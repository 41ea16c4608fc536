"""Customers: just enough to hang payments on and to list them by; no events."""

from sandbox.context import Context
from sandbox.errors import Reply
from sandbox.forms import Params
from sandbox.ids import new_id, random_text
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json

_URL = "/v1/customers"
_TEXTS = ("description", "email", "name", "phone")


def _create(context: Context, params: Params) -> Reply:
    customer: Json = {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": None,
        "balance": 0,
        "cash_balance": None,
        "created": context.now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "discount": None,
        "invoice_prefix": random_text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": params.metadata({}),
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **{name: params.text(name) for name in _TEXTS},
    }
    context.store.insert("customer", customer)
    return Reply(customer)


def _retrieve(context: Context, params: Params, customer_id: str) -> Reply:
    return Reply(context.get("customer", customer_id).body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    if (email := params.text("email")) is not None:
        where.add("json_extract(body, '$.email') = ?", email)
    return Reply(page(context, params, "customer", _URL, where))


ROUTES = [
    Route("POST", _URL, _create, frozenset({*_TEXTS, "metadata"})),
    Route("GET", _URL, _list, LIST_PARAMS | {"email"}),
    Route("GET", _URL + "/{id}", _retrieve),
]
