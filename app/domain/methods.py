"""Ways to pay, by the names that storefronts use."""

from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """A way to pay."""

    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    APPLE_PAY = "apple_pay"
    GOOGLE_PAY = "google_pay"
    IDEAL = "ideal"
    PAYPAL = "paypal"
    KLARNA = "klarna"
    SEPA_DEBIT = "sepa_debit"
    ACH_DEBIT = "ach_debit"


class Flow(StrEnum):
    """What the shopper goes through."""

    CARD = "card"  # authorized at once, or after authenticating
    WALLET = "wallet"  # a card, as the wallet's token
    REDIRECT = "redirect"  # approved on a page of the method's own
    BANK_DEBIT = "bank_debit"  # taken from an account: certain only days later


FLOW = {
    Method.CREDIT_CARD: Flow.CARD,
    Method.DEBIT_CARD: Flow.CARD,
    Method.APPLE_PAY: Flow.WALLET,
    Method.GOOGLE_PAY: Flow.WALLET,
    Method.IDEAL: Flow.REDIRECT,
    Method.PAYPAL: Flow.REDIRECT,
    Method.KLARNA: Flow.REDIRECT,
    Method.SEPA_DEBIT: Flow.BANK_DEBIT,
    Method.ACH_DEBIT: Flow.BANK_DEBIT,
}


@dataclass(frozen=True)
class Offer:
    """A way to pay that a gateway offers for an amount. `requires` names fields of the request;
    `separate_capture` says whether money can be held first and taken later."""

    method: Method
    requires: tuple[str, ...]
    separate_capture: bool
    can_be_saved: bool

    @property
    def flow(self) -> Flow:
        """What the shopper goes through."""
        return FLOW[self.method]


def are_alike(one: str, other: str) -> bool:
    """Whether both name the same way to pay. What is called a credit card may turn out to be a
    debit card."""
    cards = {Method.CREDIT_CARD, Method.DEBIT_CARD}
    return one == other or {one, other} <= cards
