"""Single values of Stripe's objects, taken only in the shape that Stripe gives them.

A signature proves the sender, not the sense: what passes here can be kept and computed with. Every
function raises ValueError for what does not pass.
Source: Stripe's API reference; a charge has eight digits at most, and twelve in rupiah.
"""

import re
from datetime import UTC, datetime
from typing import Any

from app.domain.card_numbers import blotted

NOT_AS_DOCUMENTED = (KeyError, TypeError, AttributeError, ValueError, OverflowError, OSError)
"""What reading an object of no known shape may raise."""

_OBJECT_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
_AMOUNT_DIGITS = 12
_TIME_DIGITS = 10
_LONGEST_WORD = 255
_LONGEST_TEXT = 5000


def object_id(value: Any) -> str:
    """An id of Stripe's own, of an event or an object."""
    if not isinstance(value, str) or _OBJECT_ID.fullmatch(value) is None:
        raise ValueError("not an id of Stripe's")
    return value


def amount(value: Any) -> int:
    """An amount in Stripe's units, 0 included."""
    return _whole(value, _AMOUNT_DIGITS)


def moment(value: Any) -> datetime:
    """A time, from seconds since 1970."""
    return datetime.fromtimestamp(_whole(value, _TIME_DIGITS), UTC)


def word(value: Any) -> str:
    """A code, a name, a reason: 255 characters at most, a card number blotted out."""
    return blotted(_text(value, _LONGEST_WORD))


def message(value: Any) -> str:
    """What is said to people: 5000 characters at most, a card number blotted out."""
    return blotted(_text(value, _LONGEST_TEXT))


def text(value: Any) -> str:
    """An address, or a secret, as it is: 5000 characters at most."""
    return _text(value, _LONGEST_TEXT)


def last_digits(value: Any) -> str:
    """The end of a card or account number, and no more of it than four characters."""
    return _text(value, 4)


def _whole(value: Any, digits: int) -> int:
    # True is an int to Python.
    if type(value) is not int or not 0 <= value < 10**digits:
        raise ValueError(f"not a whole number of {digits} digits")
    return value


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise ValueError(f"not a text of {longest} characters")
    value.encode()  # half a character, as JSON can write one, cannot be kept
    return value
