"""Blotting out whatever may be a card's or an account's number, in text kept or sent back."""

import re

# Twelve to nineteen digits in a row or in groups, also as a form or an address encodes the gaps.
# IBANs in capitals likewise: two letters, two digits, and letters and digits in a row or in groups.
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_])[A-Z]{2}\d{2}(?:(?:[ +]|%20)?[A-Z0-9]){11,30}(?![A-Za-z0-9])"
    r"|\d(?:(?:[ +-]|%20)?\d){11,18}"
)
BLOT = "***"


def blotted(text: str) -> str:
    """The text with anything like a card's or an account's number replaced."""
    return _NUMBER.sub(BLOT, text)
