"""Card numbers that the tests send, and how to find them again wherever they should not be."""

import base64
import random
import re
from collections.abc import Iterable

# Every canary starts with these twelve digits, which occur nowhere by accident.
CANARY_PREFIX = "400054327196"
DECLINED = "4000000000000002"
DECLINED_FOR_FUNDS = "4000000000009995"
LOST = "4000000000009987"
STOLEN = "4000000000009979"
AUTHENTICATE = "4000000000003220"
AUTHENTICATED_AND_DECLINED = "4000008400001629"
DEBIT = "4000056655665556"
ISSUE_CARD = "4111111111111111"
KNOWN = (
    CANARY_PREFIX,
    DECLINED,
    DECLINED_FOR_FUNDS,
    LOST,
    STOLEN,
    AUTHENTICATE,
    AUTHENTICATED_AND_DECLINED,
    DEBIT,
    ISSUE_CARD,
)

# A security code is too short to be searched for by itself: it is known by the name beside it.
_CODE = re.compile(
    rb"(?i)(cvv|cvc|security_code)[\"'\\\]=:\s]{1,8}(SecretStr\([\"'])?[0-9]{3,4}(?![0-9])"
)
_random = random.Random(4)  # noqa: S311 - these cards buy nothing


def canary() -> str:
    """A good card number that only tests know."""
    digits = f"{CANARY_PREFIX}{_random.randrange(1000):03}"
    return digits + check_digit(digits)


def check_digit(digits: str) -> str:
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits))]
    return str(-sum(n - 9 if n > 9 else n for n in doubled) % 10)


def spaced(number: str, by: str = " ") -> str:
    return by.join(number[at : at + 4] for at in range(0, len(number), 4))


def forms(number: str) -> Iterable[bytes]:
    """The number as it might be written: raw, spaced, dashed, base64 wherever it starts."""
    for text in (number, spaced(number), spaced(number, "-")):
        yield text.encode()
    for offset in range(3):
        # Only the characters that depend on nothing beside the number.
        whole = number[(3 - offset) % 3 :]
        yield base64.b64encode(whole[: len(whole) // 3 * 3].encode())


_FORMS = [form for number in KNOWN for form in forms(number)]


def found_in(content: bytes | bytearray) -> list[str]:
    """What of a card is in `content`."""
    numbers = [form.decode() for form in _FORMS if form in content]
    return numbers + [match[0].decode(errors="replace") for match in _CODE.finditer(content)]
