"""Cards that nobody has but the sweep."""

import random
from dataclasses import dataclass

from tests.sweep.finding import in_one_line
from tests.sweep.writings import WRITINGS
from tests.walk.cards import check_digit

# How the numbers begin, and how many digits they have: Diners Club, American Express, Visa,
# Mastercard, Maestro, UnionPay. No gateway's test number begins so.
_KINDS = (
    ("360543", 14),
    ("371943", 15),
    ("400195", 16),
    ("535091", 16),
    ("675943", 17),
    ("676294", 18),
    ("400195", 19),
    ("621791", 19),
)


@dataclass(frozen=True)
class Canary:
    """A card number that passes for a good one, and a security code."""

    number: str
    code: str

    def card(self) -> dict[str, str]:
        """What a storefront sends of it."""
        return {
            "number": self.number,
            "expiry_month": "12",
            "expiry_year": "30",
            "cvv": self.code,
        }


def canaries(count: int, seed: int = 1) -> list[Canary]:
    """Different ones, the same each time: no two have a number or a code in common."""
    draw = random.Random(seed)  # noqa: S311 - they buy nothing
    codes = draw.sample(range(100, 1000), count)
    return [
        Canary(_number(draw, *_KINDS[at % len(_KINDS)]), str(code)) for at, code in enumerate(codes)
    ]


def _number(draw: random.Random, begin: str, length: int) -> str:
    while True:
        digits = begin + "".join(draw.choices("0123456789", k=length - len(begin) - 1))
        number = digits + check_digit(digits)
        if all(text == in_one_line(text) for text in WRITINGS["integer"](number)):
            return number  # as whole as it is short
