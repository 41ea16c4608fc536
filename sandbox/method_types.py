"""The types of payment method: what each can be charged in, and how its payer says yes."""

from dataclasses import dataclass
from typing import Literal

from sandbox.store import Json

_DAY = 24 * 3600


@dataclass(frozen=True)
class MethodType:
    """`currencies` None means any. `held_for` is how many seconds an authorization lasts.

    A type without `held_for` is captured at once or not at all; that of cards can be moved by a
    test, so it is kept elsewhere (see capture_window.py).
    """

    family: Literal["card", "redirect", "debit"]
    options: Json
    currencies: frozenset[str] | None = None
    captured_later: bool = False
    held_for: int = 0
    attachable: bool = True

    def takes(self, currency: str) -> bool:
        """Whether a payment in this currency can be made with it."""
        return self.currencies is None or currency in self.currencies


TYPES = {
    "card": MethodType(
        "card",
        {
            "installments": None,
            "mandate_options": None,
            "network": None,
            "request_three_d_secure": "automatic",
        },
        captured_later=True,
    ),
    # Stripe saves the account behind an iDEAL payment as a direct debit; the sandbox saves nothing.
    "ideal": MethodType("redirect", {}, frozenset({"eur"}), attachable=False),
    "klarna": MethodType(
        "redirect",
        {"preferred_locale": None},
        frozenset("aud cad chf czk dkk eur gbp nok nzd pln ron sek usd".split()),
        captured_later=True,
        held_for=28 * _DAY,
    ),
    "paypal": MethodType(
        "redirect",
        {"preferred_locale": None, "reference": None},
        frozenset("aud cad chf czk dkk eur gbp hkd nok nzd pln sek sgd usd".split()),
        captured_later=True,
        held_for=10 * _DAY,
    ),
    "sepa_debit": MethodType("debit", {}, frozenset({"eur"})),
    "us_bank_account": MethodType(
        "debit", {"verification_method": "automatic"}, frozenset({"usd"})
    ),
}
