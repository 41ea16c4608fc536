"""HTTP by hand: also what no client library would send."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

Headers = Iterable[tuple[bytes, bytes]]
_PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first one of that name."""
        wanted = name.lower().encode()
        return next((v.decode() for n, v in self.headers if n.lower() == wanted), None)


class Wire:
    """One connection after the other, each as long as it lasts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._address = (parts.hostname, parts.port or 80)
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    async def ask(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Answer:
        """What is answered. OSError or EOFError where there is no whole answer."""
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: tillflow"]
        lines += [b"Content-Length: %d" % len(body)] if body or method == "POST" else []
        lines += [name + b": " + value for name, value in headers]
        return await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    async def send(self, whole: bytes) -> Answer:
        """What is answered to these bytes."""
        async with asyncio.timeout(_PATIENCE):
            reader, writer = self._open or await asyncio.open_connection(*self._address)
            self._open = reader, writer
            writer.write(whole)
            answer = await read_answer(reader)
        if answer.header("connection") == "close":
            self.close()
        return answer


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer on a connection. EOFError where it ends first."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
    pairs = [line.partition(b":") for line in lines]
    headers = tuple((name, value.strip()) for name, _, value in pairs)
    head = Answer(int(first.split()[1]), headers, b"")
    length = head.header("content-length")
    if length is not None:
        return Answer(head.status, headers, await reader.readexactly(int(length)))
    if head.header("transfer-encoding") == "chunked":
        return Answer(head.status, headers, await _chunks(reader))
    return Answer(head.status, headers, await reader.read())


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    whole = b""
    while size := int(await reader.readline(), 16):
        whole += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return whole
