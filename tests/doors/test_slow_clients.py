"""A client that keeps the API waiting is sent away, and no other one notices."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from app.api.connection import PatientConnection
from tests.doors.served import served, silent_server
from tests.doors.wire import Answer, Wire, read_answer

PATIENCE = 1.0
SLACK = 10.0  # this machine may be slow
GET = b"GET /healthz HTTP/1.1\r\nHost: tillflow\r\n\r\n"
POST = b"POST /api/payment/callback HTTP/1.1\r\nHost: tillflow\r\n"
LARGE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: tillflow\r\n\r\n"
DRIBBLE = [b"x"] * 1000


class Hasty(PatientConnection):
    """As any connection, but with less patience."""

    patience_seconds = PATIENCE


class Crowded(PatientConnection):
    """As any connection, but there may be few."""

    most = 3


@pytest.fixture
async def url(database_url: str) -> AsyncIterator[str]:
    async with served(database_url, http=Hasty) as url:
        yield url


@pytest.fixture
async def silent_temporal() -> AsyncIterator[str]:
    """Where Temporal should be: whoever asks whether we are ready waits for three seconds."""
    async with silent_server() as address:
        yield address


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


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection for which little is buffered: what is not read stays with the server."""
    parts = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
    return await asyncio.open_connection(sock=raw, limit=4096)


async def _dribble(writer: asyncio.StreamWriter, parts: Sequence[bytes]) -> None:
    for part in parts:
        writer.write(part)
        await asyncio.sleep(PATIENCE / 10)


async def _sent_away(url: str, slow: Slow) -> tuple[float, Answer | None]:
    """After how long the connection is closed, and what is said before."""
    reader, writer = await _connect(url)
    writer.write(slow.at_once)
    for _ in range(slow.answers):
        await read_answer(reader)
    begun = time.monotonic()
    dribbling = asyncio.create_task(_dribble(writer, slow.dribbled))
    told = None
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        told = await read_answer(reader)
        assert await reader.read() == b""
    dribbling.cancel()
    writer.close()
    return time.monotonic() - begun, told


async def test_whoever_does_not_send_a_whole_request_is_sent_away(url: str) -> None:
    closed = dict(
        zip(
            SLOW,
            await asyncio.gather(*(_sent_away(url, slow) for slow in SLOW.values())),
            strict=True,
        )
    )
    for name, (seconds, told) in closed.items():
        assert PATIENCE * 0.5 < seconds < PATIENCE + SLACK, name
        if told is not None:
            assert told.status == 408, name
            assert json.loads(told.body)["type"] == "/problems/request-timeout"
            assert told.header("connection") == "close"
            assert told.header("x-content-type-options") == "nosniff"
    silent = {name for name, (_, told) in closed.items() if told is None}
    assert silent == {"says nothing", "announces too long a body"}


@pytest.mark.parametrize(
    "also_reads", [pytest.param(0, id="nothing"), pytest.param(2048, id="next-to-nothing")]
)
async def test_whoever_does_not_read_the_answer_is_sent_away(url: str, also_reads: int) -> None:
    reader, writer = await _connect(url)
    writer.write(LARGE)
    begun = time.monotonic()
    read = 0
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - begun < PATIENCE + SLACK:
            read += len(await reader.read(also_reads)) if also_reads else 0
            writer.write(b"\r\n")
            await writer.drain()
            await asyncio.sleep(PATIENCE / 10)
    assert time.monotonic() - begun < PATIENCE + SLACK
    writer.close()


async def test_whoever_reads_on_gets_a_long_answer_however_long_it_takes(url: str) -> None:
    reader, writer = await _connect(url)
    writer.write(LARGE)
    begun, read = time.monotonic(), 0
    while time.monotonic() - begun < PATIENCE * 2:
        read += len(await reader.readexactly(40_000))
        await asyncio.sleep(PATIENCE / 10)
    assert read < 1_300_000  # else it was no long answer
    assert len(await reader.read(100)) == 100
    writer.close()


async def test_an_answer_may_take_longer_than_a_request(
    database_url: str, silent_temporal: str
) -> None:
    async with (
        served(database_url, http=Hasty, temporal_address=silent_temporal) as url,
        Wire(url) as wire,
    ):
        begun = time.monotonic()
        answer = await wire.ask("GET", "/readyz")
        assert time.monotonic() - begun > PATIENCE
        assert answer.status == 503


async def test_an_idle_connection_is_kept_for_a_pool(url: str) -> None:
    reader, writer = await _connect(url)
    for _ in range(2):
        writer.write(GET)
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(PATIENCE * 1.5)
    writer.close()


async def test_a_body_without_an_end_is_not_read_for_ever(url: str) -> None:
    reader, writer = await _connect(url)
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    told = asyncio.create_task(read_answer(reader))
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 50_000_000:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000
            await asyncio.sleep(0)
    assert sent < 20_000_000  # what the kernel buffers, too
    assert (await told).status == 413
    writer.close()


async def test_where_there_are_too_many_the_one_goes_that_has_waited_longest(
    database_url: str,
) -> None:
    async with served(database_url, http=Crowded) as url, AsyncExitStack() as closing:
        first_reader, first = await _connect(url)
        closing.callback(first.close)
        first.write(POST)
        for _ in range(20):
            wire = await closing.enter_async_context(Wire(url))
            assert (await wire.ask("GET", "/healthz")).status == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await read_answer(first_reader)


async def test_where_all_are_being_answered_a_new_one_is_turned_away(
    database_url: str, silent_temporal: str
) -> None:
    async with (
        served(database_url, http=Crowded, temporal_address=silent_temporal) as url,
        AsyncExitStack() as closing,
    ):
        wires = [await closing.enter_async_context(Wire(url)) for _ in range(3)]
        for wire in wires:
            await wire.ask("GET", "/healthz")
        answers = [asyncio.create_task(wire.ask("GET", "/readyz")) for wire in wires]
        await asyncio.sleep(0)  # now they are asked
        reader, writer = await _connect(url)
        closing.callback(writer.close)
        told = await read_answer(reader)
        assert told.status == 503
        assert told.header("retry-after") == "5"
        assert {(await answer).status for answer in answers} == {503}
        assert {json.loads((await answer).body)["status"] for answer in answers} == {"not ready"}
        async with Wire(url) as another:
            assert (await another.ask("GET", "/healthz")).status == 200
