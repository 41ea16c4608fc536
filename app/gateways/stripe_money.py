"""Stripe's way of writing amounts, and what it will charge.

Source: Stripe's currency documentation, API version 2026-08-26.dahlia.
"""

from dataclasses import dataclass

from app.domain.money import InvalidAmountError, Money, exponent

_MAXIMUM = 99_999_999  # eight digits, in any currency


@dataclass(frozen=True)
class Rule:
    """How Stripe writes a currency: amounts have `decimals` places, are multiples of `step` and at
    least `minimum`. Step and minimum are in Stripe's units."""

    decimals: int = 2
    step: int = 1
    minimum: int = 1


# A currency that has no row has two decimals and no documented minimum.
RULES = {
    "bif": Rule(decimals=0),
    "clp": Rule(decimals=0),
    "djf": Rule(decimals=0),
    "gnf": Rule(decimals=0),
    "jpy": Rule(decimals=0, minimum=50),
    "kmf": Rule(decimals=0),
    "krw": Rule(decimals=0),
    "mga": Rule(decimals=0),  # ISO 4217: two
    "pyg": Rule(decimals=0),
    "rwf": Rule(decimals=0),
    "vnd": Rule(decimals=0),
    "vuv": Rule(decimals=0),
    "xaf": Rule(decimals=0),
    "xof": Rule(decimals=0),
    "xpf": Rule(decimals=0),
    "isk": Rule(decimals=2, step=100),  # ISO 4217: none, so both must be 0
    "ugx": Rule(decimals=2, step=100),  # likewise
    "bhd": Rule(decimals=3, step=10),
    "jod": Rule(decimals=3, step=10),
    "kwd": Rule(decimals=3, step=10),
    "omr": Rule(decimals=3, step=10),
    "tnd": Rule(decimals=3, step=10),
    "huf": Rule(decimals=2, minimum=17500),  # without decimals in payouts only
    "twd": Rule(decimals=2),  # likewise
    "aed": Rule(minimum=200),
    "aud": Rule(minimum=50),
    "bgn": Rule(minimum=100),
    "brl": Rule(minimum=50),
    "cad": Rule(minimum=50),
    "chf": Rule(minimum=50),
    "czk": Rule(minimum=1500),
    "dkk": Rule(minimum=250),
    "eur": Rule(minimum=50),
    "gbp": Rule(minimum=30),
    "hkd": Rule(minimum=400),
    "inr": Rule(minimum=50),
    "mxn": Rule(minimum=1000),
    "myr": Rule(minimum=200),
    "nok": Rule(minimum=300),
    "nzd": Rule(minimum=50),
    "pln": Rule(minimum=200),
    "ron": Rule(minimum=200),
    "sek": Rule(minimum=300),
    "sgd": Rule(minimum=50),
    "thb": Rule(minimum=1000),
    "usd": Rule(minimum=50),
}
_ANY_OTHER = Rule()


def to_stripe(money: Money) -> int:
    """The amount in Stripe's units. Raises InvalidAmountError where Stripe cannot express it."""
    shift = _rule(money.currency).decimals - exponent(money.currency)
    if shift >= 0:
        return money.minor * int(10**shift)
    amount, rest = divmod(money.minor, int(10**-shift))
    if rest:
        raise InvalidAmountError(f"{money} has more decimals than the gateway can charge")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Stripe's units back to ours. Raises InvalidAmountError rather than round."""
    shift = _rule(currency).decimals - exponent(currency)
    if shift <= 0:
        return Money(amount * int(10**-shift), currency)
    minor, rest = divmod(amount, int(10**shift))
    if rest:
        raise InvalidAmountError(f"{currency} has {exponent(currency)} decimal places at most")
    return Money(minor, currency)


def check(money: Money) -> None:
    """Raise InvalidAmountError, fit for an API answer, where Stripe would refuse the amount."""
    check_part(money)
    rule, amount = _rule(money.currency), to_stripe(money)
    if amount < rule.minimum:
        smallest = from_stripe(rule.minimum, money.currency)
        raise InvalidAmountError(f"the smallest charge is {smallest}; {money} was asked")
    if amount > _MAXIMUM:
        largest = from_stripe(_MAXIMUM - _MAXIMUM % rule.step, money.currency)
        raise InvalidAmountError(f"the largest charge is {largest}; {money} was asked")


def check_part(money: Money) -> None:
    """The same for a part of a payment, to capture or to refund: it may be as small as it likes."""
    amount = to_stripe(money)
    if amount == 0:
        raise InvalidAmountError("the amount must be more than 0")
    if amount % _rule(money.currency).step:
        raise InvalidAmountError(f"the last digit of an amount in {money.currency} must be 0")


def _rule(currency: str) -> Rule:
    return RULES.get(currency, _ANY_OTHER)
