"""Whether a secret can be guessed: too short, regular, or made of words that people begin with."""

import re
from itertools import pairwise

# Long enough that no random secret holds one by accident.
_WORDS = re.compile(
    r"example|placeholder|change.?me|password|secret|sandbox|tillflow|develop|production|insecure"
    r"|12345678|deadbeef",
    re.IGNORECASE,
)
# Printed in Stripe's public documentation.
_PUBLISHED = (
    "4eC39HqLyjWDarjtT1zdp7dc",
    "BQokikJOvBiI2HlWgH4olfQ2",
    "tGN0bIwXnHdwOa85VABjPdSn8nWY7G7I",
)
_LEAST_DIFFERENT = 6


def require_random(text: str, least: int) -> None:
    """Raises ValueError, without the text, unless it has at least `least` characters and may have
    been made by chance."""
    if len(text) < least:
        raise ValueError(f"it is shorter than {least} characters")
    if _WORDS.search(text) or any(known in text for known in _PUBLISHED):
        raise ValueError("it is an example, or made of words that anybody would try")
    _require_irregular(text.encode())


def require_random_bytes(key: bytes, least: int) -> None:
    """The same for bytes: text that a person can read is no key."""
    if len(key) < least:
        raise ValueError(f"it is shorter than {least} random bytes")
    if key.isascii() and key.decode().isprintable():
        raise ValueError("it is text, not random bytes")
    _require_irregular(key)


def _require_irregular(content: bytes) -> None:
    steps = {(after - before) % 256 for before, after in pairwise(content)}
    repeats = content in (content * 2)[1:-1]
    if repeats or min(len(set(content)), len(steps)) < _LEAST_DIFFERENT:
        raise ValueError("it is a pattern: chance did not make it")
