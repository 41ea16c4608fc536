"""Payment methods: created from details or from a ready-made id. Numbers are read and forgotten."""

from sandbox import bank_accounts, redirect_methods
from sandbox.bank_accounts import SEPA_PARAMS, US_PARAMS, ready_made_account
from sandbox.card_methods import CARD_PARAMS, card, ready_made_card
from sandbox.context import Context
from sandbox.drafts import Draft
from sandbox.errors import ApiError, Reply, invalid, missing
from sandbox.forms import Params
from sandbox.method_types import TYPES
from sandbox.routing import Route
from sandbox.serialisation import billing_details, payment_method
from sandbox.store import Json, Record

DATA_PARAMS = frozenset({"type", "billing_details", "metadata", "allow_redisplay", *TYPES})
_DETAIL_PARAMS = {
    "card": CARD_PARAMS,
    "ideal": redirect_methods.IDEAL_PARAMS,
    "sepa_debit": SEPA_PARAMS,
    "us_bank_account": US_PARAMS,
}
_BILLING_PARAMS = frozenset({"name", "email", "phone", "address"})
_ADDRESS_PARAMS = frozenset({"city", "country", "line1", "line2", "postal_code", "state"})
# What must be known of the payer.
_NEEDED = {
    "klarna": ("email", "address[country]"),
    "sepa_debit": ("name", "email"),
    "us_bank_account": ("name",),
}
_READY_MADE = ("pm_card_", "pm_sepaDebit_", "pm_usBankAccount_")
_REDISPLAY = ("always", "limited", "unspecified")


def make(context: Context, params: Params) -> Record:
    """A new method from its `type`, details and `billing_details`. Raises ApiError (400, 402)."""
    kind = params.required_text("type")
    if kind not in TYPES:
        message = f"The sandbox knows {', '.join(TYPES)}."
        raise invalid(message, param=params.name("type"))
    for other in TYPES:
        if other in params and other != kind:
            raise invalid(
                f"{params.name(other)} does not go with type={kind}.", param=params.name(other)
            )
    billing = _billing(params)
    for name in _NEEDED.get(kind, ()):
        if _at(billing, name) is None:
            raise _absent(params, name)
    redisplay = params.choice("allow_redisplay", _REDISPLAY) or "unspecified"
    return _write(context, _draft(context, kind, params), billing, params.metadata({}), redisplay)


def use(context: Context, method_id: str, param: str) -> Record:
    """The method with this id; a ready-made id such as `pm_card_visa` yields a fresh method."""
    if not method_id.startswith(_READY_MADE):
        return context.get("payment_method", method_id, param)
    draft = ready_made_card(context, method_id) or ready_made_account(
        method_id, context.store.hash_key()
    )
    if draft is None:
        raise missing("payment_method", method_id, param)
    return _write(context, draft, billing_details(draft.billing), {}, "unspecified")


def _draft(context: Context, kind: str, params: Params) -> Draft:
    details = params.group(kind, _DETAIL_PARAMS.get(kind, frozenset()))
    match kind:
        case "ideal":
            return redirect_methods.ideal(details)
        case "klarna":
            return redirect_methods.klarna()
        case "paypal":
            return redirect_methods.paypal()
    if details is None:
        raise params.absent(kind)
    key = context.store.hash_key()
    match kind:
        case "sepa_debit":
            return bank_accounts.sepa_debit(details, key)
        case "us_bank_account":
            return bank_accounts.us_bank_account(details, key)
        case _:
            return card(context, details)


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


def _at(billing: Json, name: str) -> str | None:
    value: str | None = billing["address"]["country"] if "[" in name else billing[name]
    return value


def _absent(params: Params, name: str) -> ApiError:
    first, bracket, rest = name.partition("[")
    param = f"{params.name('billing_details')}[{first}]{bracket}{rest}"
    return invalid(f"Missing required parameter: {param}.", "parameter_missing", param)


def _write(
    context: Context, draft: Draft, billing: Json, metadata: dict[str, str], redisplay: str
) -> Record:
    body = payment_method(draft, context.now, billing, metadata, redisplay)
    private = {"behaviour": draft.behaviour}
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
