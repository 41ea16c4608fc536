"""Card numbers: whether a number is one, and whether one stands where it does not belong."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from itertools import accumulate
from urllib.parse import unquote_plus

_BETWEEN = re.compile(r"[\W_]+")  # whatever is neither a letter nor a digit
_DIGITS = re.compile(rf"[0-9]+(?:{_BETWEEN.pattern}[0-9]+)*")
# The first digits and lengths of those that are issued (ISO/IEC 7812): most other long numbers are
# none of them. Left out are Maestro's of 12 to 15 digits and UATP's: too many order ids look so.
_BRANDED = re.compile(
    r"4(\d{12}|\d{15}|\d{18})"  # Visa
    r"|(5[1-5]|2[2-7])\d{14}|220[0-4]\d{13,15}"  # Mastercard, Mir
    r"|3[47]\d{13}"  # American Express
    r"|3[0689](\d{12}|\d{14,17})"  # Diners Club
    r"|(1800|2131)\d{11}"  # JCB, the old ones
    r"|(35|6\d|5[0678]|8[12])\d{14,17}"  # JCB, Discover, UnionPay, RuPay, Maestro
    r"|9792\d{12}",  # Troy
    re.ASCII,
)
# A UUID, or as long a word of hexadecimal digits, after a name (`msg_…`) or without. By chance one
# in some thousands has the digits of a card number in it.
_RANDOM = re.compile(
    r"(?<![0-9a-z])(?:(?=[0-9-]{0,35}[a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?=[0-9]{0,63}[a-f])[0-9a-f]{24,64})(?![0-9a-z])",
    re.ASCII | re.IGNORECASE,
)
# A card's magnetic stripe, track 2: the number, the month of expiry, a service code, and more.
_STRIPE = re.compile(r"(?<![0-9a-zA-Z])([0-9]{13,19})[=dD][0-9]{7}")
_SHORTEST, _LONGEST = 13, 19  # digits of a card number
_ENCODED_AT_MOST = 3  # times
# A digit as it is, and doubled.
_LUHN = (tuple(range(10)), (0, 2, 4, 6, 8, 1, 3, 5, 7, 9))
# What is looked at together, in whichever script's digits.
_PIECES = re.compile(rf"(?P<random>{_RANDOM.pattern})|\d+(?:{_BETWEEN.pattern}\d+)*", re.IGNORECASE)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit of a card number fits the others."""
    return _LuhnSums(digits).fit(0, len(digits))


def holds_card_number(text: str) -> bool:
    """Whether a card number stands somewhere in `text`, as one run of digits or in groups, in
    whichever script's digits, percent-encoded, or as on a card's magnetic stripe. Random
    identifiers are not looked into. Takes microseconds a character, whatever is written."""
    for _ in range(_ENCODED_AT_MOST):
        if _stands_in(text):
            return True
        text, before = unquote_plus(text), text
        if text == before:
            break
    return False


def _stands_in(text: str) -> bool:
    plain = _plain(text)
    if any(_is_card_number(each) for each in _STRIPE.findall(plain)):
        return True
    return any(_is_in_run(run) for run in _DIGITS.findall(_RANDOM.sub("x", plain)))


def _is_in_run(run: str) -> bool:
    groups = _BETWEEN.split(run)
    digits, ends = "".join(groups), list(accumulate(map(len, groups)))
    if len(digits) < _SHORTEST:
        return False
    sums = _LuhnSums(digits)
    for begin in (0, *ends[:-1]):
        shortest = bisect_left(ends, begin + _SHORTEST)
        for end in ends[shortest : bisect_right(ends, begin + _LONGEST)]:
            if sums.fit(begin, end) and _BRANDED.fullmatch(digits, begin, end):
                return True
    return False


def _is_card_number(digits: str) -> bool:
    return _BRANDED.fullmatch(digits) is not None and passes_luhn(digits)


class _LuhnSums:
    """Whether Luhn's check fits any part of a long run, each at once: the sums up to every digit,
    with those in even or in odd places doubled."""

    def __init__(self, digits: str) -> None:
        self._sums = [
            list(
                accumulate(
                    (_LUHN[at % 2 == odd][int(each)] for at, each in enumerate(digits)), initial=0
                )
            )
            for odd in (0, 1)
        ]

    def fit(self, begin: int, end: int) -> bool:
        sums = self._sums[end % 2]
        return (sums[end] - sums[begin]) % 10 == 0


def blotted(text: str) -> str:
    """`text` with "[card number]" in place of every one, and of the digits around it."""
    return _PIECES.sub(
        lambda piece: (
            "[card number]" if not piece["random"] and holds_card_number(piece[0]) else piece[0]
        ),
        text,
    )


def without_card_number(text: str) -> str:
    """For fields that are kept and shown. Raises ValueError where a card number is in one."""
    if holds_card_number(text):
        raise ValueError("this looks like a card number, which may stand in credit_card only")
    return text


def _plain(text: str) -> str:
    """`text` with every digit, full-width or foreign, as one of 0 to 9."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.decimal(each, each)) for each in normal)
