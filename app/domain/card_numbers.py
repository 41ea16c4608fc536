"""Card numbers: whether a number is one, and whether one stands where it does not belong."""

import re
import unicodedata

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
# A UUID, or as long a word of hexadecimal digits. By chance one in two thousand has the digits of a
# card number in it.
_RANDOM = re.compile(
    r"\b(?:(?=[0-9-]{0,35}[a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?=[0-9]{0,63}[a-f])[0-9a-f]{24,64})\b",
    re.ASCII | re.IGNORECASE,
)
# What is looked at together, in whichever script's digits.
_PIECES = re.compile(rf"(?P<random>{_RANDOM.pattern})|\d+(?:{_BETWEEN.pattern}\d+)*", re.IGNORECASE)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit of a card number fits the others."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether a card number stands somewhere in `text`, as one run of digits or in groups, in
    whichever script's digits. Random identifiers are not looked into."""
    for run in _DIGITS.findall(_RANDOM.sub("x", _plain(text))):
        groups = _BETWEEN.split(run)
        for first in range(len(groups)):
            digits = ""
            for group in groups[first:]:
                digits += group
                if len(digits) > 19:
                    break
                if _BRANDED.fullmatch(digits) and passes_luhn(digits):
                    return True
    return False


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
