"""The ways in which a card number may be written down."""

import base64
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from tests.walk.cards import spaced

Writing = Callable[[str], Iterable[bytes]]
_AMEX = (0, 4, 10, 15)


def _grouped(number: str, by: str) -> Iterator[bytes]:
    yield spaced(number, by).encode()
    if len(number) == _AMEX[-1]:
        groups = [number[at:end] for at, end in pairwise(_AMEX)]
        yield by.join(groups).encode()


def _base64(number: str) -> Iterator[bytes]:
    """Wherever it starts: only the characters that depend on nothing beside the number. That of
    digits is the same in the alphabet for addresses."""
    for offset in range(3):
        whole = number[(3 - offset) % 3 :]
        yield base64.b64encode(whole[: len(whole) // 3 * 3].encode())


def _hexadecimal(number: str) -> Iterator[bytes]:
    """That of digits is the same in small and in capital letters."""
    yield number.encode().hex().encode()
    for by in (" ", ":", "-"):
        yield number.encode().hex(by).encode()
    yield "".join(f"\\x{ord(digit):x}" for digit in number).encode()


def _integer(number: str) -> Iterator[bytes]:
    for order in ("little", "big"):
        whole = int(number).to_bytes(8, order)
        yield whole.strip(b"\0")


def _packed(number: str) -> Iterator[bytes]:
    """Two digits a byte, wherever the first one stands in its byte."""
    for digits in (number, number[1:]):
        yield bytes.fromhex(digits[: len(digits) // 2 * 2])


def _hashed(name: str) -> Writing:
    def hashed(number: str) -> Iterator[bytes]:
        digest = hashlib.new(name, number.encode(), usedforsecurity=False).digest()
        yield digest.hex().encode()
        yield digest.hex().upper().encode()
        yield base64.b64encode(digest).rstrip(b"=")
        yield base64.urlsafe_b64encode(digest).rstrip(b"=")
        yield digest

    return hashed


WRITINGS: dict[str, Writing] = {
    "raw": lambda number: [number.encode()],
    "spaced": lambda number: _grouped(number, " "),
    "dashed": lambda number: _grouped(number, "-"),
    "dotted": lambda number: _grouped(number, "."),
    "reversed": lambda number: [number[::-1].encode()],
    "base64": _base64,
    "hexadecimal": _hexadecimal,
    "URL-encoded": lambda number: [
        "".join(f"%{ord(digit):x}" for digit in number).encode(),
        *_grouped(number, "+"),
        *_grouped(number, "%20"),
    ],
    "escaped": lambda number: ["".join(f"\\u{ord(digit):04x}" for digit in number).encode()],
    "UTF-16": lambda number: [number.encode("utf-16-le")[:-1]],  # which is in the other order, too
    "integer": _integer,
    "packed decimal": _packed,
}
"""By name: all that a number is in that writing. Which of them there is depends on what stands
before it."""

HASHES: dict[str, Writing] = {
    "MD5": _hashed("md5"),
    "SHA-1": _hashed("sha1"),
    "SHA-256": _hashed("sha256"),
    "SHA-512": _hashed("sha512"),
}
"""Without a key: whoever tries all numbers finds the one (PCI DSS v4.0.1, 3.5.1.1)."""

PACKINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zlib": zlib.compress}
"""What is unpacked before it is looked at, whatever the writing is."""
