"""Test cards: what each number, token or ready-made method id does when it is charged.

A number lives only in the memory of the request that carries it. What is kept is a `Card`: brand,
last four digits, a keyed fingerprint, and the *behaviour*, a word such as `ok`,
`decline:insufficient_funds`, `authenticate:ok`, `refund:fails` or `dispute:fraudulent`.
`authenticate_once:ok` asks for authentication too, but not for a payment without the payer if
the card was set up for those.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sandbox.errors import bad_card
from sandbox.fingerprints import fingerprint

OK = "ok"


@dataclass(frozen=True)
class Card:
    """What may be kept of a card."""

    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: str
    fingerprint: str
    cvc_given: bool
    behaviour: str
    wallet: str | None = None


@dataclass(frozen=True)
class Decline:
    """How a bank's refusal is told: Stripe's code and decline code, the network's, the advice."""

    code: str
    message: str
    network_code: str
    advice: str | None


DECLINES = {
    "generic_decline": Decline("card_declined", "The card was declined.", "01", "try_again_later"),
    "insufficient_funds": Decline(
        "card_declined", "The card has insufficient funds.", "51", "try_again_later"
    ),
    "lost_card": Decline("card_declined", "The card was declined.", "41", "do_not_try_again"),
    "stolen_card": Decline("card_declined", "The card was declined.", "43", "do_not_try_again"),
    "card_velocity_exceeded": Decline(
        "card_declined", "The card was used too often or for too much.", "61", "try_again_later"
    ),
    "expired_card": Decline("expired_card", "The card has expired.", "54", "do_not_try_again"),
    "incorrect_cvc": Decline(
        "incorrect_cvc", "The security code is wrong.", "N7", "confirm_card_data"
    ),
    "processing_error": Decline(
        "processing_error", "The card could not be processed; try again.", "96", "try_again_later"
    ),
    "authentication_required": Decline(
        "authentication_required", "The card asks for authentication.", "1A", None
    ),
}

# Ready-made names, usable as `pm_card_<name>` and `tok_<name>`: the number each stands for.
_NAMED = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "mastercard_prepaid": "5105105105105100",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeCustomerFail": "4000000000000341",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureRequiredChargeDeclined": "4000008400001629",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "pendingRefund": "4000000000007726",
    "refundFail": "4000000000005126",
    "createDispute": "4000000000000259",
    "createDisputeProductNotReceived": "4000000000002685",
    "applePay": "4242424242424242",
    "googlePay": "4242424242424242",
}
_WALLETS = {"applePay": "apple_pay", "googlePay": "google_pay"}
_BEHAVIOURS = {
    "4000000000000002": "decline:generic_decline",
    "4000000000000341": "decline:generic_decline",
    "4000000000009995": "decline:insufficient_funds",
    "4000000000009987": "decline:lost_card",
    "4000000000009979": "decline:stolen_card",
    "4000000000006975": "decline:card_velocity_exceeded",
    "4000000000000069": "decline:expired_card",
    "4000000000000127": "decline:incorrect_cvc",
    "4000000000000119": "decline:processing_error",
    "4000002500003155": "authenticate_once:ok",
    "4000002760003184": "authenticate:ok",
    "4000000000003220": "authenticate:ok",
    "4000008400001629": "authenticate:decline:generic_decline",
    "4000008260003178": "authenticate:decline:insufficient_funds",
    "4000000000007726": "refund:pending",
    "4000000000005126": "refund:fails",
    "4000000000000259": "dispute:fraudulent",
    "4000000000002685": "dispute:product_not_received",
}
# However many a test needs, each another card.
_RANGES = {"40000099": "decline:generic_decline", "40000032": "authenticate:ok"}
_FUNDING = {
    "4000056655665556": "debit",
    "5200828282828210": "debit",
    "5105105105105100": "prepaid",
}
_BRANDS = (
    ("amex", re.compile(r"3[47]")),
    ("diners", re.compile(r"3(0|6|8|9)")),
    ("jcb", re.compile(r"35")),
    ("visa", re.compile(r"4")),
    ("mastercard", re.compile(r"5[1-5]|2(22[1-9]|2[3-9]|[3-6]|7[01]|720)")),
    ("discover", re.compile(r"6(011|4[4-9]|5)")),
    ("unionpay", re.compile(r"62")),
)


def named_card(name: str, key: bytes, now: float) -> Card | None:
    """The ready-made card behind `pm_card_visa`, `tok_visa` and their like; None for no such."""
    for prefix in ("pm_card_visa_charge", "tok_visa_charge"):
        if name.startswith(prefix):
            name = "pm_card_charge" + name.removeprefix(prefix)
    name = name.removeprefix("pm_card_").removeprefix("tok_")
    number = _NAMED.get(name)
    if number is None:
        return None
    next_year = datetime.fromtimestamp(now, UTC).year + 1
    kept = _keep(number, 12, next_year, key, cvc_given=False)
    return replace(kept, wallet=_WALLETS.get(name))


def raw_card(
    number: str, exp_month: int, exp_year: int, cvc: str | None, key: bytes, now: float
) -> Card:
    """Check a card's details and keep what may be kept. Raises ApiError (402) for a wrong one."""
    digits = number.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19):
        raise bad_card("The card number is not a card number.", "invalid_number", "number")
    if not _luhn(digits):
        raise bad_card("The card number is incorrect.", "incorrect_number", "number")
    year = exp_year + 2000 if 0 <= exp_year < 100 else exp_year
    today = datetime.fromtimestamp(now, UTC)
    if not today.year <= year <= today.year + 50:
        raise bad_card("The expiry year is invalid.", "invalid_expiry_year", "exp_year")
    if not 1 <= exp_month <= 12 or expired(exp_month, year, now):
        raise bad_card("The expiry month is invalid.", "invalid_expiry_month", "exp_month")
    if cvc is not None:
        lengths = (3, 4) if _brand(digits) == "amex" else (3,)
        if not (cvc.isascii() and cvc.isdigit() and len(cvc) in lengths):
            raise bad_card("The security code is invalid.", "invalid_cvc", "cvc")
    return _keep(digits, exp_month, year, key, cvc_given=cvc is not None)


def expired(exp_month: int, exp_year: int, now: float) -> bool:
    """Whether the month printed on the card is over."""
    today = datetime.fromtimestamp(now, UTC)
    return (exp_year, exp_month) < (today.year, today.month)


def _keep(number: str, exp_month: int, exp_year: int, key: bytes, *, cvc_given: bool) -> Card:
    return Card(
        brand=_brand(number),
        last4=number[-4:],
        exp_month=exp_month,
        exp_year=exp_year,
        funding=_FUNDING.get(number, "credit"),
        fingerprint=fingerprint(key, number),
        cvc_given=cvc_given,
        behaviour=_behaviour(number),
    )


def _behaviour(number: str) -> str:
    return _RANGES.get(number[:8]) or _BEHAVIOURS.get(number, OK)


def _brand(number: str) -> str:
    return next((brand for brand, start in _BRANDS if start.match(number)), "unknown")


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
