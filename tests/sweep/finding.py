"""Finding cards in bytes, however they are written."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import IO

from tests.sweep.writings import WRITINGS, Writing

_PIECE = 32 * 1024 * 1024
_OVERLAP = 1024
_BIT = 16 * 1024
_LONGEST_UNPACKED = 64 * 1024 * 1024
_SHORTEST = 6  # bytes: what is shorter occurs by chance
# As gzip and zlib begin (RFC 1952, 2.3; RFC 1950, 2.2).
_PACKED = (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
# A security code is too short to be looked for by itself: it is known by the name beside it.
_CODE = r"""(cvv|cvc|security_?code)[]"'\=: ]{1,8}(SecretStr\(["'])?[0-9]{3,4}"""


class Search:
    """Looks for card numbers in these writings, packed or not, and for security codes beside their
    names. Needs `grep`, which looks for thousands of texts at once."""

    def __init__(
        self,
        numbers: Iterable[str],
        codes: Collection[str],
        writings: Mapping[str, Writing] = WRITINGS,
    ) -> None:
        self._codes = codes
        self._needles = {
            needle: f"{number} {how}"
            for number in numbers
            for how, writing in writings.items()
            for text in writing(number)
            if len(needle := in_one_line(text)) >= _SHORTEST
        }
        program = shutil.which("grep")
        assert program is not None
        self._grep = program

    def pieces(self, pieces: Iterable[bytes]) -> set[str]:
        """What is in them; each follows the one before it."""
        found: set[str] = set()
        waiting = bytearray()
        for piece in pieces:
            waiting += piece
            if len(waiting) >= _PIECE:
                found |= self.content(bytes(waiting))
                del waiting[:-_OVERLAP]
        return found | self.content(bytes(waiting))

    def content(self, content: bytes) -> set[str]:
        """What is in these bytes, and in what is packed in them: the numbers, each with its
        writing, and the codes."""
        return self._plain(content) | self._plain(b"\n".join(_unpacked(content)))

    def _plain(self, content: bytes) -> set[str]:
        if not content.strip(b"\0"):
            return set()
        with tempfile.TemporaryFile() as needles, tempfile.TemporaryFile() as hay:
            needles.write(b"\n".join(self._needles))
            needles.seek(0)  # flushes
            hay.write(content)
            texts = f"--file=/dev/fd/{needles.fileno()}"
            hits = self._matches(hay, "--fixed-strings", texts, passed=[needles.fileno()])
            found = {self._needles[hit] for hit in hits}
            for hit in self._matches(hay, "--extended-regexp", "--ignore-case", _CODE):
                [code] = re.findall(r"[0-9]+$", hit.decode())
                if code in self._codes:
                    found.add(f"security code {code}")
        return found

    def _matches(self, hay: IO[bytes], *options: str, passed: Collection[int] = ()) -> list[bytes]:
        hay.seek(0)
        done = subprocess.run(
            [self._grep, "--text", "--only-matching", *options],
            stdin=hay,
            env={"LC_ALL": "C", "PATH": os.defpath},
            pass_fds=passed,
            capture_output=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout.split(b"\n")[:-1]


def in_one_line(text: bytes) -> bytes:
    """The longest part of it without a line's end: grep knows no other."""
    return max(text.split(b"\n"), key=len)


def _unpacked(content: bytes) -> Iterator[bytes]:
    view = memoryview(content)
    for begin in _PACKED:
        at = content.find(begin)
        while at >= 0:
            yield _unpack(view[at:])
            at = content.find(begin, at + 1)


def _unpack(packed: memoryview) -> bytes:
    """What is packed there, or begins so. It is read bit by bit: what was not read is copied."""
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # either
    text = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(0, len(packed), _BIT):
            text += unpack.decompress(packed[at : at + _BIT])
            if unpack.eof or len(text) > _LONGEST_UNPACKED:
                break
    return bytes(text)
