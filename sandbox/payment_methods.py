"""Payment methods: cards only. A raw number is turned into a method and forgotten."""

from sandbox.cards import Card, named_card, raw_card
from sandbox.context import Context
from sandbox.errors import Reply, invalid, missing
from sandbox.forms import Params
from sandbox.routing import Route
from sandbox.serialisation import billing_details, payment_method
from sandbox.store import Json, Record

DATA_PARAMS = frozenset({"type", "card", "billing_details", "metadata", "allow_redisplay"})
_CARD_PARAMS = frozenset({"number", "exp_month", "exp_year", "cvc", "token"})
_BILLING_PARAMS = frozenset({"name", "email", "phone", "address"})
_ADDRESS_PARAMS = frozenset({"city", "country", "line1", "line2", "postal_code", "state"})


def make(context: Context, params: Params) -> Record:
    """A new method from `type`, `card`, `billing_details`. Raises ApiError (400, 402)."""
    if params.required_text("type") != "card":
        raise invalid("The sandbox takes cards only.", param=params.name("type"))
    details = params.group("card", _CARD_PARAMS)
    if details is None:
        raise params.absent("card")
    return _write(context, _read_card(context, details), _billing(params), params.metadata({}))


def use(context: Context, method_id: str, param: str) -> Record:
    """The method with this id; a ready-made id such as `pm_card_visa` yields a fresh method."""
    if method_id.startswith("pm_card_"):
        card = named_card(method_id, context.store.hash_key(), context.now)
        if card is None:
            raise missing("payment_method", method_id, param)
        return _write(context, card, billing_details(None), {})
    return context.get("payment_method", method_id, param)


def _read_card(context: Context, details: Params) -> Card:
    key = context.store.hash_key()
    if "token" in details:
        token = details.required_text("token")
        card = named_card(token, key, context.now) if token.startswith("tok_") else None
        if card is None:
            raise missing("token", token, details.name("token"))
        return card
    number = details.required_text("number")
    month, year = details.integer("exp_month"), details.integer("exp_year")
    if month is None:
        raise details.absent("exp_month")
    if year is None:
        raise details.absent("exp_year")
    return raw_card(number, month, year, details.text("cvc"), key, context.now)


def _billing(params: Params) -> Json:
    given = params.group("billing_details", _BILLING_PARAMS)
    if given is None:
        return billing_details(None)
    place = given.group("address", _ADDRESS_PARAMS)
    return billing_details(
        {
            "name": given.text("name"),
            "email": given.text("email"),
            "phone": given.text("phone"),
            "address": place and {name: place.text(name) for name in _ADDRESS_PARAMS},
        }
    )


def _write(context: Context, card: Card, billing: Json, metadata: dict[str, str]) -> Record:
    body = payment_method(card, context.now, billing, metadata)
    private = {"behaviour": card.behaviour}
    context.store.insert("payment_method", body, private)
    return Record(body, private)


def _create(context: Context, params: Params) -> Reply:
    return Reply(make(context, params).body)


def _retrieve(context: Context, params: Params, method_id: str) -> Reply:
    return Reply(use(context, method_id, "payment_method").body)


ROUTES = [
    Route("POST", "/v1/payment_methods", _create, DATA_PARAMS),
    Route("GET", "/v1/payment_methods/{id}", _retrieve),
]
