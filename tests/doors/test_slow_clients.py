"""A client that keeps the API waiting is sent away, and no other one notices."""

import asyncio
import contextlib
import json
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.api.connection import PatientConnection
from app.api.serving import options
from tests.conftest import settings_with
from tests.doors.served import served, silent_server
from tests.doors.slow_clients import (
    GET,
    LARGE,
    POST,
    SLOW,
    compare,
    connect,
    percentile,
    raw_connection,
    sent_away,
)
from tests.doors.wire import Wire, read_answer
from tests.walk.running import Running

PATIENCE = 1.0
SLACK = 10.0  # this machine may be slow


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


def test_a_client_has_ten_seconds_and_a_process_so_many_connections() -> None:
    served = options(settings_with())["http"]
    assert (served.patience_seconds, served.most) == (10, 800)


async def test_whoever_does_not_send_a_whole_request_is_sent_away(url: str) -> None:
    async with asyncio.timeout(PATIENCE + SLACK):
        ends = await asyncio.gather(
            *(sent_away(url, slow, PATIENCE / 10) for slow in SLOW.values())
        )
    closed = dict(zip(SLOW, ends, strict=True))
    for name, (seconds, told) in closed.items():
        assert seconds > PATIENCE * 0.5, name
        if told is not None:
            assert told.status == 408, name
            assert json.loads(told.body)["type"] == "/problems/request-timeout"
            assert told.header("connection") == "close"
            assert told.header("x-content-type-options") == "nosniff"
    silent = {name for name, (_, told) in closed.items() if told is None}
    assert silent == {"says nothing", "announces too long a body"}


def _is_over(client: socket.socket) -> bool:
    """Whether the server has dropped it, without a word to the server."""
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(0))


@pytest.mark.parametrize(
    "also_reads", [pytest.param(0, id="nothing"), pytest.param(512, id="next-to-nothing")]
)
async def test_whoever_does_not_read_the_answer_is_sent_away(url: str, also_reads: int) -> None:
    loop = asyncio.get_running_loop()
    client = await raw_connection(url)
    await loop.sock_sendall(client, LARGE * 8)  # more than the system takes from the server
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE + SLACK):
            while not _is_over(client):
                if also_reads:
                    await loop.sock_recv(client, also_reads)
                await asyncio.sleep(PATIENCE / 10)
    client.close()


async def test_whoever_reads_on_gets_a_long_answer_however_long_it_takes(url: str) -> None:
    reader, writer = await connect(url)
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
    reader, writer = await connect(url)
    for _ in range(2):
        writer.write(GET)
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(PATIENCE * 1.5)
    writer.close()


async def test_a_body_without_an_end_is_not_read_for_ever(url: str) -> None:
    reader, writer = await connect(url)
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
        first_reader, first = await connect(url)
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
        reader, writer = await connect(url)
        closing.callback(writer.close)
        told = await read_answer(reader)
        assert told.status == 503
        assert told.header("retry-after") == "5"
        assert {(await answer).status for answer in answers} == {503}
        assert {json.loads((await answer).body)["status"] for answer in answers} == {"not ready"}
        async with Wire(url) as another:
            assert (await another.ask("GET", "/healthz")).status == 200


async def test_a_healthy_client_notices_nothing_of_slow_ones(running: Running) -> None:
    """The short form of `make slow`: by the median, since one in a hundred of these is chance."""
    figures = await compare(running, slow=60, requests=80, rounds=2)
    assert len(figures.calm) == len(figures.beside) == 80
    assert percentile(figures.beside, 50) < 4 * percentile(figures.calm, 50), str(figures)


def test_as_many_connections_may_come_at_once_as_the_system_allows(running: Running) -> None:
    limits = Path(f"/proc/{running.stack.supervisor.pid('api')}/limits").read_text()
    [files] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    soft, hard = files.split()[3:5]
    assert soft == hard
