"""Slow clients, and what a healthy one notices of them.

python -m tests.doors.slow_clients --slow 500 --requests 8000   on a stack of its own

Each slow client keeps a connection as long as it is let, a byte a second, and comes back at once
when it is closed. The healthy one reads an order again and again, every other time on a new
connection. Calm and slow rounds alternate, so that whatever else the machine does meets both. The
API may have 1024 files open, as a process may by default.
"""

import argparse
import asyncio
import contextlib
import math
import resource
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.ports import Ports
from app.embedded.stack import Stack
from tests.doors.wire import Answer, Wire, read_answer
from tests.walk.running import Running, by_token, new_order

GET = b"GET /healthz HTTP/1.1\r\nHost: tillflow\r\n\r\n"
POST = b"POST /api/payment/callback HTTP/1.1\r\nHost: tillflow\r\n"
LARGE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: tillflow\r\n\r\n"
DRIBBLE = [b"x"] * 1000
_ROUNDS = 4
_AT_ONCE = 4
_USUAL_FILES = 1024


@dataclass(frozen=True)
class Slow:
    """A client that sends something at once, reads that many answers, and dribbles the rest."""

    at_once: bytes = b""
    answers: int = 0
    dribbled: Sequence[bytes] = ()


SLOW = {
    "says nothing": Slow(),
    "dribbles its headers": Slow(GET[:-4], dribbled=DRIBBLE),
    "does not end its headers": Slow(POST),
    "sends no body": Slow(POST + b"Content-Length: 9\r\n\r\n"),
    "dribbles its body": Slow(POST + b"Content-Length: 1000\r\n\r\n", dribbled=DRIBBLE),
    "dribbles chunks": Slow(
        POST + b"Transfer-Encoding: chunked\r\n\r\n", dribbled=[b"1\r\nx\r\n"] * 1000
    ),
    "dribbles a second request": Slow(GET, 1, [b"POST /a HTTP/1.1\r\na: ", *DRIBBLE]),
    "sends a part of a second request ahead": Slow(GET + POST, 1),
    "sends no second body": Slow(GET + POST + b"Content-Length: 9\r\n\r\n", 1),
    "announces too long a body": Slow(POST + b"Content-Length: 99999999\r\n\r\n", 1, DRIBBLE),
}


async def raw_connection(url: str) -> socket.socket:
    """One for which little is buffered: what is not read stays with the server."""
    parts = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
    return raw


async def connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The same, with streams."""
    return await asyncio.open_connection(sock=await raw_connection(url), limit=4096)


async def _dribble(writer: asyncio.StreamWriter, parts: Sequence[bytes], pause: float) -> None:
    for part in parts:
        writer.write(part)
        await asyncio.sleep(pause)


async def sent_away(url: str, slow: Slow, pause: float) -> tuple[float, Answer | None]:
    """After how long the connection is closed, and what is said before."""
    reader, writer = await connect(url)
    writer.write(slow.at_once)
    dribbling = None
    told = None
    try:
        for _ in range(slow.answers):
            await read_answer(reader)
        begun = time.monotonic()
        dribbling = asyncio.create_task(_dribble(writer, slow.dribbled, pause))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            told = await read_answer(reader)
            assert await reader.read() == b""
        return time.monotonic() - begun, told
    finally:
        if dribbling is not None:
            dribbling.cancel()
        writer.close()


@dataclass
class Figures:
    """Seconds that the healthy client waited, and how many slow ones were sent away."""

    calm: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    sent_away: int = 0

    @property
    def ratio(self) -> float:
        return percentile(self.beside, 99) / percentile(self.calm, 99)

    def __str__(self) -> str:
        calm, beside = (
            f"p50 {percentile(waits, 50) * 1000:.1f} ms, p99 {percentile(waits, 99) * 1000:.1f} ms"
            for waits in (self.calm, self.beside)
        )
        return (
            f"healthy client: {calm} alone; {beside} beside slow ones; p99 x {self.ratio:.2f}; "
            f"{len(self.calm)} + {len(self.beside)} requests, {self.sent_away} slow clients sent "
            "away"
        )


def percentile(waits: Sequence[float], percent: int) -> float:
    """Of so many percent nobody waited longer."""
    return sorted(waits)[math.ceil(len(waits) * percent / 100) - 1]


@asynccontextmanager
async def _crowd(url: str, count: int, figures: Figures) -> AsyncIterator[None]:
    """So many slow clients, all of them there."""
    kinds = list(SLOW.values())

    async def one(slow: Slow) -> None:
        while True:
            try:
                await sent_away(url, slow, pause=1.0)
            except (OSError, EOFError):
                await asyncio.sleep(0.1)  # it was turned away at the door
            figures.sent_away += 1

    clients = [asyncio.create_task(one(kinds[at % len(kinds)])) for at in range(count)]
    try:
        await asyncio.sleep(1)  # they are coming
        yield
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def _healthy(url: str, order_id: str, count: int, waits: list[float]) -> None:
    headers = [(b"Authorization", f"Bearer {DEVELOPMENT_API_KEY}".encode())]

    async def some(share: int) -> None:
        async with Wire(url) as wire:
            for number in range(share):
                if number % 2:
                    wire.close()
                begun = time.perf_counter()
                answer = await wire.ask("GET", f"/api/payment/{order_id}", headers)
                assert answer.status == 200, answer
                waits.append(time.perf_counter() - begun)

    await asyncio.gather(*(some(count // _AT_ONCE) for _ in range(_AT_ONCE)))


async def compare(running: Running, slow: int, requests: int, rounds: int = _ROUNDS) -> Figures:
    """What a healthy client waits, alone and beside so many slow ones."""
    figures, url = Figures(), running.stack.api_url
    order_id = new_order("healthy")
    await running.taken_on(by_token(order_id))
    await running.until(order_id)
    await _healthy(url, order_id, 40, [])
    for _ in range(rounds):
        await _healthy(url, order_id, requests // rounds, figures.calm)
        async with _crowd(url, slow, figures):
            await _healthy(url, order_id, requests // rounds, figures.beside)
    return figures


async def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--slow", type=int, default=500)
    options.add_argument("--requests", type=int, default=8000, help="calm ones, and as many beside")
    asked = options.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_USUAL_FILES, most))  # for those that we start
    with TemporaryDirectory(prefix="tillflow-slow-") as folder:
        async with Stack(Path(folder), Ports.free(), print) as stack:
            await stack.start()
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            running = Running(stack)
            figures = await compare(running, asked.slow, asked.requests)
            await running.close()
    print(figures)
    return 0 if figures.ratio <= 2 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
