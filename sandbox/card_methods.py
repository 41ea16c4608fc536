"""Cards as payment methods: read from parameters, and shown."""

from sandbox.cards import Card, named_card, raw_card
from sandbox.context import Context
from sandbox.drafts import Draft
from sandbox.errors import missing
from sandbox.forms import Params
from sandbox.store import Json

CARD_PARAMS = frozenset({"number", "exp_month", "exp_year", "cvc", "token"})


def card(context: Context, params: Params) -> Draft:
    """A card by its number or its token. Raises ApiError (400, 402)."""
    key = context.store.hash_key()
    if "token" in params:
        token = params.required_text("token")
        named = named_card(token, key, context.now) if token.startswith("tok_") else None
        if named is None:
            raise missing("token", token, params.name("token"))
        return _draft(named)
    number = params.required_text("number")
    month, year = params.integer("exp_month"), params.integer("exp_year")
    if month is None:
        raise params.absent("exp_month")
    if year is None:
        raise params.absent("exp_year")
    return _draft(raw_card(number, month, year, params.text("cvc"), key, context.now))


def ready_made_card(context: Context, method_id: str) -> Draft | None:
    """The card behind `pm_card_visa` and its like; None for no such."""
    if not method_id.startswith("pm_card_"):
        return None
    named = named_card(method_id, context.store.hash_key(), context.now)
    return None if named is None else _draft(named)


def _draft(kept: Card) -> Draft:
    details = {
        "brand": kept.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "unchecked" if kept.cvc_given else None,
        },
        "country": "US",
        "display_brand": _display_brand(kept.brand),
        "exp_month": kept.exp_month,
        "exp_year": kept.exp_year,
        "fingerprint": kept.fingerprint,
        "funding": kept.funding,
        "generated_from": None,
        "last4": kept.last4,
        "networks": {"available": [kept.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": _wallet(kept),
    }
    return Draft("card", details, kept.behaviour)


def _wallet(kept: Card) -> Json | None:
    if kept.wallet is None:
        return None
    return {kept.wallet: {}, "dynamic_last4": kept.last4, "type": kept.wallet}


def _display_brand(brand: str) -> str:
    return {"amex": "american_express", "diners": "diners_club"}.get(brand, brand)
