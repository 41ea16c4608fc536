"""Methods that a customer keeps: attached, listed, detached.

A method belongs to one customer at most and is then used for that customer only.
"""

from sandbox import payment_methods
from sandbox.context import Context
from sandbox.errors import Reply, invalid, missing, refused
from sandbox.events import emit
from sandbox.forms import Params
from sandbox.method_types import TYPES
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json, Record

_URL = "/v1/payment_methods"
_OF_CUSTOMER = "/v1/customers/{id}/payment_methods"
_LIST = LIST_PARAMS - {"created"} | {"type"}


def check_owner(intent: Json, method: Record) -> None:
    """Raises ApiError (400) when the method is not for this PaymentIntent's customer."""
    if method.private.get("detached"):
        raise invalid(
            "This payment method was detached from its customer and cannot be used again.",
            param="payment_method",
        )
    owner = method.body["customer"]
    if owner is not None and owner != intent["customer"]:
        raise invalid(
            "This payment method belongs to a customer: name that customer in `customer`.",
            param="payment_method",
        )


def keep(context: Context, intent: Json, method: Record, *, payer_agreed: bool) -> None:
    """Attach the method of a payment that is meant to set it up for later ones.

    `payer_agreed` tells that the payer was asked: for later payments without the payer that holds.
    """
    usage, customer = intent["setup_future_usage"], intent["customer"]
    if usage is None or customer is None or not TYPES[method.body["type"]].attachable:
        return
    if payer_agreed and usage == "off_session":
        method.private["set_up"] = True
    if method.body["customer"] is None:
        _attach(context, method, customer)
    else:
        context.store.save(method.body, method.private)


def _attach(context: Context, method: Record, customer_id: str) -> None:
    method.body["customer"] = customer_id
    context.store.save(method.body, method.private)
    emit(context, "payment_method.attached", method.body)


def _attach_call(context: Context, params: Params, method_id: str) -> Reply:
    customer_id = params.required_text("customer")
    context.get("customer", customer_id, "customer")
    method = payment_methods.use(context, method_id, "id")
    owner = method.body["customer"]
    if not TYPES[method.body["type"]].attachable:
        raise invalid(f"A method of type {method.body['type']} cannot be attached.")
    if method.private.get("detached"):
        raise refused("A payment method that was detached cannot be attached again.")
    if owner not in (None, customer_id):
        raise refused("This payment method is attached to another customer.")
    if owner is None:
        _attach(context, method, customer_id)
    return Reply(method.body)


def _detach(context: Context, params: Params, method_id: str) -> Reply:
    method = context.get("payment_method", method_id)
    customer = method.body["customer"]
    if customer is None:
        raise refused("This payment method is attached to no customer.")
    method.body["customer"] = None
    context.store.save(method.body, {**method.private, "detached": True})
    emit(context, "payment_method.detached", method.body, {"customer": customer})
    return Reply(method.body)


def _list(context: Context, params: Params) -> Reply:
    return _page(context, params, _URL, params.text("customer"))


def _list_of_customer(context: Context, params: Params, customer_id: str) -> Reply:
    context.get("customer", customer_id)
    return _page(context, params, _OF_CUSTOMER.replace("{id}", customer_id), customer_id)


def _page(context: Context, params: Params, url: str, customer: str | None) -> Reply:
    where = Where()
    for column, value in (("customer", customer), ("type", params.text("type"))):
        if value is not None:
            where.add(f"{column} = ?", value)
    return Reply(page(context, params, "payment_method", url, where))


def _retrieve(context: Context, params: Params, customer_id: str, method_id: str) -> Reply:
    method = context.get("payment_method", method_id).body
    if method["customer"] != customer_id:
        raise missing("payment_method", method_id)
    return Reply(method)


ROUTES = [
    Route("GET", _URL, _list, _LIST | {"customer"}),
    Route("POST", _URL + "/{id}/attach", _attach_call, frozenset({"customer"})),
    Route("POST", _URL + "/{id}/detach", _detach),
    Route("GET", _OF_CUSTOMER, _list_of_customer, _LIST),
    Route("GET", _OF_CUSTOMER + "/{method}", _retrieve),
]
