"""What the signed callbacks of every form have in common."""

import hmac
import re
import time
from collections.abc import Collection

from app.domain.gateway import InvalidCallbackError

TOLERANCE_SECONDS = 300
"""How far a callback's time may be from ours, to either side. Until then a replay is possible, and
known by its id."""

_SECONDS = re.compile(r"[1-9][0-9]{0,11}")


def signed_at(text: str) -> int:
    """The time of signing, in seconds since 1970, from what a header says of it.

    Raises InvalidCallbackError for one that is not just now, or not written in plain digits.
    """
    if _SECONDS.fullmatch(text) is None:
        raise InvalidCallbackError("the callback does not say when it was signed")
    if abs(time.time() - int(text)) > TOLERANCE_SECONDS:
        raise InvalidCallbackError("the callback was signed more than five minutes from now")
    return int(text)


def one_is_right(given: Collection[str], right: Collection[str]) -> bool:
    """Whether one of the signatures that were `given` is one of the `right` ones.

    As text: there is one way to write a signature, so that no part of it can be changed unnoticed.
    """
    return any(hmac.compare_digest(one.encode(), each.encode()) for one in given for each in right)
