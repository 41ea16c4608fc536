"""A body is 64 KiB at most, whoever sends it and however its length is told."""

import json
from collections.abc import AsyncIterator

import pytest

from app.api.body_limit import MAX_BODY_BYTES
from tests.doors.served import served
from tests.doors.wire import Answer, Wire

PATHS = ("/api/payment/initiate", "/api/payment/callback", "/healthz", "/nowhere")


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[Wire]:
    async with served(database_url) as url, Wire(url) as wire:
        yield wire


def chunked(path: str, size: int) -> bytes:
    """A request whose body has no length, in chunks of 1000 bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: tillflow\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole, rest = divmod(size, 1000)
    chunks = [1000] * whole + [rest] * bool(rest)
    body = b"".join(b"%x\r\n%s\r\n" % (length, b" " * length) for length in chunks)
    return head.encode() + body + b"0\r\n\r\n"


def is_too_long(answer: Answer) -> bool:
    if answer.status != 413:
        return False
    assert json.loads(answer.body)["type"] == "/problems/content-too-large"
    assert answer.header("content-type") == "application/problem+json"
    return True


async def test_a_longer_body_is_refused_at_every_door_before_anything_else(wire: Wire) -> None:
    for path in PATHS:
        assert is_too_long(await wire.ask("POST", path, body=b" " * (MAX_BODY_BYTES + 1)))
        assert is_too_long(await wire.send(chunked(path, MAX_BODY_BYTES + 1)))


async def test_a_body_of_the_most_bytes_gets_to_the_door(wire: Wire) -> None:
    for path, status in zip(PATHS, (401, 400, 405, 404), strict=True):
        assert (await wire.ask("POST", path, body=b" " * MAX_BODY_BYTES)).status == status
        assert (await wire.send(chunked(path, MAX_BODY_BYTES))).status == status


async def test_what_is_announced_as_too_long_is_refused_before_it_is_sent(wire: Wire) -> None:
    head = "POST /api/payment/initiate HTTP/1.1\r\nHost: tillflow\r\nContent-Length: {}\r\n\r\n"
    for length in (MAX_BODY_BYTES + 1, 10**15):
        assert is_too_long(await wire.send(head.format(length).encode()))
        wire.close()
