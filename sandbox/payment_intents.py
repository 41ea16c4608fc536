"""PaymentIntents: create, confirm, capture, cancel, update, retrieve, list."""

from urllib.parse import urlsplit

from sandbox import payment_methods, serialisation
from sandbox.attempts import Terms, cancel, captured
from sandbox.confirmation import attempt
from sandbox.context import Context
from sandbox.currencies import checked_amount, checked_currency, checked_step
from sandbox.errors import ApiError, Reply, invalid, refused
from sandbox.events import emit
from sandbox.forms import Params
from sandbox.mandates import mandate_given
from sandbox.method_choice import automatic, check_fit, choose_types, offer
from sandbox.method_types import TYPES
from sandbox.paging import LIST_PARAMS, Where, page
from sandbox.routing import Route
from sandbox.store import Json, Record

_URL = "/v1/payment_intents"
_CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
_TEXTS = ("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix")
_DETAILS = frozenset(
    {
        "allowed_payment_method_types",
        "capture_method",
        "customer",
        "metadata",
        "payment_method",
        "payment_method_data",
        "payment_method_types",
        "setup_future_usage",
        "shipping",
        *_TEXTS,
    }
)
_CONFIRMING = frozenset({"error_on_requires_action", "mandate_data", "off_session", "return_url"})
_CREATE = _DETAILS | _CONFIRMING | {"amount", "automatic_payment_methods", "confirm", "currency"}
_CONFIRM = _CONFIRMING | {
    "allowed_payment_method_types",
    "capture_method",
    "payment_method",
    "payment_method_data",
    "payment_method_types",
    "receipt_email",
    "setup_future_usage",
    "shipping",
}
_CAPTURE = frozenset(
    {"amount_to_capture", "metadata", "statement_descriptor", "statement_descriptor_suffix"}
)
_BEFORE_CHARGE = ("requires_payment_method", "requires_confirmation", "requires_action")


def _create(context: Context, params: Params) -> Reply:
    amount = params.integer("amount")
    if amount is None:
        raise params.absent("amount")
    currency = checked_currency(params.required_text("currency"))
    intent = serialisation.payment_intent(context.now, checked_amount(amount, currency), currency)
    choose_types(context, params, intent)
    intent["automatic_payment_methods"] = automatic(params)
    _describe(context, params, intent)
    offer(intent)
    method = _chosen_method(context, params)
    if method is not None:
        check_fit(intent, method)
        intent.update(payment_method=method.body["id"], status="requires_confirmation")
    confirming = params.boolean("confirm") or False
    terms = _terms(params)
    if confirming:
        if method is None:
            raise params.absent("payment_method")
        _require_return_url(intent, method, terms)
    elif any(name in params for name in _CONFIRMING):
        raise invalid("return_url and its like are given with confirm=true.", param="confirm")
    context.store.insert("payment_intent", intent)
    emit(context, "payment_intent.created", intent)
    if method is not None and confirming:
        return attempt(context, intent, method, terms)
    return Reply(intent)


def _confirm(context: Context, params: Params, intent_id: str) -> Reply:
    intent = context.get("payment_intent", intent_id, "intent").body
    _expect(intent, "confirmed", *_BEFORE_CHARGE)
    choose_types(context, params, intent)
    _describe(context, params, intent)
    offer(intent)
    method = _chosen_method(context, params)
    if method is None:
        if intent["payment_method"] is None:
            raise _unexpected(intent, "confirmed without a payment method")
        method = context.get("payment_method", intent["payment_method"])
    check_fit(intent, method)
    terms = _terms(params)
    _require_return_url(intent, method, terms)
    return attempt(context, intent, method, terms)


def _capture(context: Context, params: Params, intent_id: str) -> Reply:
    intent = context.get("payment_intent", intent_id, "intent").body
    amount = params.integer("amount_to_capture")
    if amount is not None and amount < 1:
        raise invalid(
            "amount_to_capture must be at least 1.",
            "parameter_invalid_integer",
            "amount_to_capture",
        )
    _expect(intent, "captured", "requires_capture")
    if amount is not None and amount > intent["amount_capturable"]:
        raise refused(
            "amount_to_capture is more than what was authorised.",
            "amount_too_large",
            param="amount_to_capture",
        )
    if amount is not None:
        checked_step(amount, intent["currency"], "amount_to_capture")
    charge = context.get("charge", intent["latest_charge"]).body
    intent["metadata"] = params.metadata(intent["metadata"])
    captured(context, intent, charge, amount or intent["amount_capturable"])
    emit(context, "charge.captured", charge)
    emit(context, "payment_intent.succeeded", intent)
    return Reply(intent)


def _cancel(context: Context, params: Params, intent_id: str) -> Reply:
    reasons = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")
    reason = params.choice("cancellation_reason", reasons)
    intent = context.get("payment_intent", intent_id, "intent").body
    _expect(intent, "canceled", *_BEFORE_CHARGE, "requires_capture")
    cancel(context, intent, reason)
    return Reply(intent)


def _update(context: Context, params: Params, intent_id: str) -> Reply:
    intent = context.get("payment_intent", intent_id, "intent").body
    for name in ("amount", "currency", "payment_method", "payment_method_data", "capture_method"):
        if name in params:
            _expect(intent, f"given another {name}", *_BEFORE_CHARGE)
    currency = params.text("currency")
    intent["currency"] = checked_currency(currency) if currency else intent["currency"]
    amount = params.integer("amount")
    amount = intent["amount"] if amount is None else amount
    changed = amount != intent["amount"] or currency is not None
    intent["amount"] = checked_amount(amount, intent["currency"])
    choose_types(context, params, intent)
    _describe(context, params, intent)
    offer(intent)
    method = _chosen_method(context, params)
    if method is not None:
        check_fit(intent, method)
        intent.update(payment_method=method.body["id"], status="requires_confirmation")
    if intent["status"] == "requires_action" and changed:
        # What the payer was asked to approve is no longer what would be charged.
        intent["status"] = "requires_confirmation"
    if intent["status"] != "requires_action":
        intent["next_action"] = None
    context.store.save(intent)
    return Reply(intent)


def _retrieve(context: Context, params: Params, intent_id: str) -> Reply:
    return Reply(context.get("payment_intent", intent_id, "intent").body)


def _list(context: Context, params: Params) -> Reply:
    where = Where()
    if (customer := params.text("customer")) is not None:
        where.add("customer = ?", customer)
    return Reply(page(context, params, "payment_intent", _URL, where))


def _describe(context: Context, params: Params, intent: Json) -> None:
    """Set whatever describes the payment and was given; an empty value clears."""
    for name in _TEXTS:
        if name in params:
            intent[name] = params.text(name, 22 if name.startswith("statement") else 1000)
    if "customer" in params:
        customer = params.required_text("customer")
        intent["customer"] = context.get("customer", customer, "customer").body["id"]
    if "setup_future_usage" in params:
        usage = params.choice("setup_future_usage", ("off_session", "on_session"))
        intent["setup_future_usage"] = usage
    capture_method = params.choice("capture_method", _CAPTURE_METHODS)
    intent["capture_method"] = capture_method or intent["capture_method"]
    intent["metadata"] = params.metadata(intent["metadata"])
    if "shipping" in params:
        intent["shipping"] = _shipping(params)


def _shipping(params: Params) -> Json | None:
    fields = frozenset({"address", "name", "carrier", "phone", "tracking_number"})
    given = params.group("shipping", fields)
    if given is None:
        return None
    place = given.group(
        "address", frozenset({"city", "country", "line1", "line2", "postal_code", "state"})
    )
    if place is None:
        raise given.absent("address")
    parts = {name: place.text(name) for name in serialisation.address(None)}
    return {
        "address": serialisation.address(parts),
        "carrier": given.text("carrier"),
        "name": given.required_text("name"),
        "phone": given.text("phone"),
        "tracking_number": given.text("tracking_number"),
    }


def _chosen_method(context: Context, params: Params) -> Record | None:
    method_id = params.text("payment_method")
    if method_id is not None:
        return payment_methods.use(context, method_id, "payment_method")
    data = params.group("payment_method_data", payment_methods.DATA_PARAMS)
    return None if data is None else payment_methods.make(context, data)


def _terms(params: Params) -> Terms:
    absent = params.choice("off_session", ("true", "false", "one_off", "recurring"))
    refuses_action = params.boolean("error_on_requires_action") or False
    return_url = params.text("return_url")
    if return_url is not None and not all(urlsplit(return_url)[:2]):
        raise invalid("return_url is not an address.", "url_invalid", "return_url")
    return Terms(
        return_url=return_url,
        payer_absent=refuses_action or absent in ("true", "one_off", "recurring"),
        mandate_given=mandate_given(params),
    )


def _require_return_url(intent: Json, method: Record, terms: Terms) -> None:
    """Stripe's rule: a method that may redirect needs somewhere to come back to."""
    if terms.return_url is not None:
        return
    if TYPES[method.body["type"]].family == "redirect":
        message = f"A payment by {method.body['type']} needs a return_url."
        raise invalid(message, "parameter_missing", "return_url")
    left_to_stripe = intent["automatic_payment_methods"]
    if left_to_stripe and left_to_stripe["allow_redirects"] == "always":
        raise invalid(
            "A return_url is needed, because the enabled payment methods may redirect the payer. "
            "Without one, set automatic_payment_methods[allow_redirects]=never or choose "
            "allowed_payment_method_types.",
            param="return_url",
        )


def _expect(intent: Json, done: str, *statuses: str) -> None:
    if intent["status"] not in statuses:
        raise _unexpected(intent, done)


def _unexpected(intent: Json, done: str) -> ApiError:
    message = f"This PaymentIntent is {intent['status']} and cannot be {done}."
    return refused(message, "payment_intent_unexpected_state", payment_intent=intent)


ROUTES = [
    Route("POST", _URL, _create, _CREATE),
    Route("GET", _URL, _list, LIST_PARAMS | {"customer"}),
    Route("GET", _URL + "/{id}", _retrieve),
    Route("POST", _URL + "/{id}", _update, _DETAILS | {"amount", "currency"}),
    Route("POST", _URL + "/{id}/confirm", _confirm, _CONFIRM),
    Route("POST", _URL + "/{id}/capture", _capture, _CAPTURE),
    Route("POST", _URL + "/{id}/cancel", _cancel, frozenset({"cancellation_reason"})),
]
