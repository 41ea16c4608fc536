"""Stripe's way of writing amounts, and what it will charge.

Source: Stripe's currency documentation, API version 2026-08-26.dahlia.
"""

from app.domain.money import InvalidAmountError, Money, exponent

# Where Stripe's decimal places are not those of ISO 4217.
_PLACES = {"mga": 0, "isk": 2, "ugx": 2}

# Smallest charge, in Stripe's units. Currencies not named have none that is documented.
_MINIMUM = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
_MAXIMUM = 99_999_999


def to_stripe(money: Money) -> int:
    """The amount in Stripe's units. Raises InvalidAmountError where Stripe cannot express it."""
    shift = _PLACES.get(money.currency, exponent(money.currency)) - exponent(money.currency)
    if shift >= 0:
        return money.minor * int(10**shift)
    amount, rest = divmod(money.minor, int(10**-shift))
    if rest:
        raise InvalidAmountError(f"{money} has more decimals than the gateway can charge")
    return amount


def from_stripe(amount: int, currency: str) -> Money:
    """Stripe's units back to ours."""
    shift = _PLACES.get(currency, exponent(currency)) - exponent(currency)
    return Money(amount * 10**-shift if shift < 0 else amount // 10**shift, currency)


def check(money: Money) -> None:
    """Raise InvalidAmountError, fit for an API answer, where Stripe would refuse the amount."""
    amount = to_stripe(money)
    if amount == 0:
        raise InvalidAmountError("the amount must be more than 0")
    minimum = _MINIMUM.get(money.currency, 0)
    if amount < minimum:
        raise InvalidAmountError(
            f"the smallest charge is {from_stripe(minimum, money.currency)}; {money} was asked"
        )
    if amount > _MAXIMUM:
        raise InvalidAmountError(
            f"the largest charge is {from_stripe(_MAXIMUM, money.currency)}; {money} was asked"
        )
    if exponent(money.currency) == 3 and amount % 10:
        raise InvalidAmountError(f"the last digit of an amount in {money.currency} must be 0")
