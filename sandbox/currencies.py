"""Which currencies are charged, in what steps, and the least that may be charged in each.

Amounts are integers in the currency's smallest unit.
"""

from dataclasses import dataclass

from sandbox.errors import invalid


@dataclass(frozen=True)
class _Rule:
    """How many decimals an amount is sent with, and the step in which it may grow."""

    decimals: int = 2
    step: int = 1


_CODES = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf
    gtq gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr
    lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen
    pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd
    top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw"""
_KNOWN = frozenset(_CODES.split())
# Every other has two decimals; HUF and TWD too, though they are paid out without.
_RULES = {
    **dict.fromkeys(
        "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(), _Rule(decimals=0)
    ),
    # The last digit is for the networks to leave at 0.
    **dict.fromkeys("bhd jod kwd omr tnd".split(), _Rule(decimals=3, step=10)),
    # Without decimals in use, but sent with two, as ever.
    **dict.fromkeys("isk ugx".split(), _Rule(step=100)),
}
_LEAST = {
    "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
_MOST = 99_999_999


def checked_currency(currency: str) -> str:
    """The code in lower case. Raises ApiError (400) for one that is not charged."""
    code = currency.lower()
    if code not in _KNOWN:
        raise invalid("currency is not one that can be charged.", param="currency")
    return code


def checked_amount(amount: int, currency: str) -> int:
    """The amount, in minor units. Raises ApiError (400) outside the currency's limits."""
    if amount < 1:
        raise invalid("amount must be at least 1.", "parameter_invalid_integer", "amount")
    if amount > _MOST:
        raise invalid(f"amount must be at most {_MOST}.", "amount_too_large", "amount")
    least = _LEAST.get(currency, 1)
    if amount < least:
        raise invalid(f"amount must be at least {least} {currency}.", "amount_too_small", "amount")
    return checked_step(amount, currency)


def checked_step(amount: int, currency: str, param: str = "amount") -> int:
    """The amount, in minor units. Raises ApiError (400) for a fraction that is not in use."""
    smallest = step(currency)
    if amount % smallest:
        message = f"{param} in {currency} must be a multiple of {smallest}."
        whole = "invalid_charge_amount_no_decimal_compatible"
        raise invalid(message, whole if smallest == 100 else "parameter_invalid_integer", param)
    return amount


def step(currency: str) -> int:
    """The least that an amount can grow by, in minor units."""
    return _rule(currency).step


def readable(amount: int, currency: str) -> str:
    """An amount in minor units as people write it, e.g. `10.00 USD`."""
    decimals = _rule(currency).decimals
    if decimals == 0:
        return f"{amount} {currency.upper()}"
    whole, rest = divmod(amount, 10**decimals)
    return f"{whole}.{rest:0{decimals}} {currency.upper()}"


def _rule(currency: str) -> _Rule:
    return _RULES.get(currency, _Rule())
