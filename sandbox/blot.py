"""Blotting out whatever may be a card number, in text that is written down or sent back."""

import re

# Twelve to nineteen digits in a row or in groups, also as a form or an address encodes the gaps.
_CARD_NUMBER = re.compile(r"\d(?:(?:[ +-]|%20)?\d){11,18}")
BLOT = "***"


def blotted(text: str) -> str:
    """The text with anything like a card number replaced."""
    return _CARD_NUMBER.sub(BLOT, text)
