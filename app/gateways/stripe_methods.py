"""The ways to pay: what each is called at Stripe, when it can be offered and what it needs.

Sources: Stripe's payment method documentation (currencies, manual capture, saving for later).
"""

from collections.abc import Collection
from dataclasses import dataclass

from app.domain.methods import Method, Offer
from app.domain.money import Money


@dataclass(frozen=True)
class Way:
    """A way to pay at Stripe. `requires` names fields of our API's request; without `currencies` it
    takes any."""

    stripe_type: str
    requires: tuple[str, ...]
    currencies: frozenset[str] | None = None
    separate_capture: bool = False
    can_be_saved: bool = False


def _in(currencies: str) -> frozenset[str]:
    return frozenset(currencies.split())


_CARD = Way("card", ("payment_method_token",), separate_capture=True, can_be_saved=True)
_DEBIT = ("payment_method_token", "mandate")

WAYS = {
    Method.CREDIT_CARD: _CARD,
    Method.DEBIT_CARD: _CARD,
    Method.APPLE_PAY: _CARD,
    Method.GOOGLE_PAY: _CARD,
    Method.IDEAL: Way("ideal", ("return_url",), _in("eur")),
    Method.PAYPAL: Way(
        "paypal",
        ("return_url",),
        _in("aud cad chf czk dkk eur gbp hkd nok nzd pln sek sgd usd"),
        separate_capture=True,
    ),
    Method.KLARNA: Way(
        "klarna",
        ("return_url", "customer_email", "billing_country"),
        _in("aud cad chf czk dkk eur gbp nok nzd pln ron sek usd"),
        separate_capture=True,
    ),
    Method.SEPA_DEBIT: Way("sepa_debit", _DEBIT, _in("eur"), can_be_saved=True),
    Method.ACH_DEBIT: Way("us_bank_account", _DEBIT, _in("usd"), can_be_saved=True),
}


def offers(amount: Money, methods: Collection[Method]) -> list[Offer]:
    """Those of `methods` that take the currency of `amount`."""
    return [
        Offer(method, way.requires, way.separate_capture, way.can_be_saved)
        for method, way in WAYS.items()
        if method in methods and (way.currencies is None or amount.currency in way.currencies)
    ]
