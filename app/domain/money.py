"""Money: integer minor units and a currency. A float never comes near it."""

from dataclasses import dataclass
from decimal import Decimal

# Decimal places by currency, ISO 4217 (List One). Those not named have two.
_ZERO_DECIMALS = frozenset(
    "bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf".split()
)
_THREE_DECIMALS = frozenset("bhd iqd jod kwd lyd omr tnd".split())
_TWO_DECIMALS = frozenset(
    """
    aed afn all amd aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf
    chf cny cop crc cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd
    hnl htg huf idr ils inr irr jmd kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk
    mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd
    rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt top try ttd twd tzs
    uah usd uyu uzs ves wst xcd xcg yer zar zmw zwg
    """.split()
)

# Powers of ten: in any currency the minor units then fit into 64 bits.
_MAX_MAGNITUDE = 14


class InvalidAmountError(ValueError):
    """The amount cannot be expressed in the currency. The text is fit for an API answer."""


def exponent(currency: str) -> int:
    """Decimal places of `currency` (ISO 4217, lower case). Raises InvalidAmountError if unknown."""
    if currency in _TWO_DECIMALS:
        return 2
    if currency in _ZERO_DECIMALS:
        return 0
    if currency in _THREE_DECIMALS:
        return 3
    raise InvalidAmountError(f"{currency!r} is not an ISO 4217 currency code")


@dataclass(frozen=True)
class Money:
    """`minor` units (cents, yen, fils) of `currency` (ISO 4217, lower case). Never negative."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError("minor units are an int")
        if self.minor < 0:
            raise InvalidAmountError("an amount of money is never negative")
        exponent(self.currency)

    @classmethod
    def from_decimal(cls, amount: Decimal, currency: str) -> "Money":
        """`Decimal("49.99")`, "usd" → 4999 cents. Raises InvalidAmountError rather than round."""
        places = exponent(currency)
        if not amount.is_finite():
            raise InvalidAmountError("the amount is not a number")
        if abs(amount.adjusted()) > _MAX_MAGNITUDE:
            raise InvalidAmountError("the amount is out of range")
        # Decimal's own arithmetic would round to the context's precision.
        numerator, denominator = amount.as_integer_ratio()
        minor, rest = divmod(numerator * 10**places, denominator)
        if rest:
            raise InvalidAmountError(f"{currency} has {places} decimal places at most")
        return cls(minor, currency)

    def to_decimal(self) -> Decimal:
        """In major units, with exactly the currency's decimal places."""
        return Decimal((0, tuple(map(int, str(self.minor))), -exponent(self.currency)))

    def of(self, minor: int) -> "Money":
        """Another amount in the same currency."""
        return Money(minor, self.currency)

    def __str__(self) -> str:
        return f"{self.to_decimal():f} {self.currency.upper()}"


def shown(minor: int, currency: str) -> str:
    """Minor units as Money is shown, with a sign where they are below zero: a balance may be."""
    return f"{'-' if minor < 0 else ''}{Money(abs(minor), currency)}"
