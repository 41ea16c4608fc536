"""A door between two parts: it passes on, and can be shut, stalled or slowed."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.embedded.ports import HOST, free_ports
from chaos.proxy import Proxy, Weather
from tests.walk.running import eventually

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]
MUCH = bytes(range(256)) * 4096  # more than any buffer on the way takes at once


@asynccontextmanager
async def _echo() -> AsyncIterator[Proxy]:
    """A door in front of a part that says again what it hears, until it is told goodbye."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while heard := await reader.read(65536):
                writer.write(heard)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    behind, before = free_ports(2)
    server = await asyncio.start_server(answer, HOST, behind)
    door = Proxy(before, behind, slow_seconds=0.01)
    await door.open()
    try:
        yield door
    finally:
        await door.close()
        server.close()


async def _call(door: Proxy) -> Talk:
    return await asyncio.open_connection(HOST, door.port)


async def _hears(talk: Talk, said: bytes) -> bytes:
    reader, writer = talk
    writer.write(said)
    async with asyncio.timeout(20):
        heard, _ = await asyncio.gather(reader.readexactly(len(said)), writer.drain())
    return heard


@pytest.mark.parametrize("weather", [Weather.FAIR, Weather.SLOW])
async def test_all_arrives_in_its_order(weather: Weather) -> None:
    async with _echo() as door:
        await door.set_weather(weather)
        talk = await _call(door)
        assert await _hears(talk, MUCH) == MUCH
        assert (door.hurt > 0) is (weather is Weather.SLOW)
        talk[1].close()


async def test_a_goodbye_is_passed_on_after_all_that_was_said() -> None:
    async with _echo() as door:
        await door.set_weather(Weather.SLOW)
        reader, writer = await _call(door)
        writer.write(b"last words")
        writer.write_eof()
        async with asyncio.timeout(20):
            assert await reader.read() == b"last words"
        writer.close()


async def test_cut_it_resets_and_refuses_until_it_is_fair_again() -> None:
    async with _echo() as door:
        reader, writer = await _call(door)
        assert await _hears((reader, writer), b"hello") == b"hello"
        await door.set_weather(Weather.CUT)
        with pytest.raises(ConnectionError):
            await _hears((reader, writer), b"still there?") and await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await _call(door)
        assert door.hurt == 1
        await door.set_weather(Weather.FAIR)
        talk = await _call(door)
        assert await _hears(talk, b"again") == b"again"
        talk[1].close()


async def test_stalled_it_takes_everything_and_passes_it_on_later() -> None:
    async with _echo() as door:
        old = await _call(door)
        assert await _hears(old, b"hello") == b"hello"
        await door.set_weather(Weather.STALL)
        new = await _call(door)
        waiting = [asyncio.create_task(_hears(talk, MUCH)) for talk in (old, new)]
        done, _ = await asyncio.wait(waiting, timeout=0.2)
        assert done == set()
        assert door.hurt == 2
        await door.set_weather(Weather.FAIR)
        assert await asyncio.gather(*waiting) == [MUCH, MUCH]
        for _, writer in (old, new):
            writer.close()


async def test_nobody_behind_it_is_a_connection_that_ends() -> None:
    behind, before = free_ports(2)
    door = Proxy(before, behind)
    await door.open()
    reader, writer = await _call(door)
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            await reader.readexactly(1)
    writer.close()
    await door.close()


async def test_closed_it_refuses_whatever_the_weather() -> None:
    async with _echo() as door:
        await door.close()
        await door.set_weather(Weather.CUT)
        await door.set_weather(Weather.FAIR)
        with pytest.raises(ConnectionRefusedError):
            await _call(door)


@pytest.mark.parametrize("turns", range(6))
async def test_who_came_when_it_closed_is_not_kept(turns: int) -> None:
    with socket.create_server((HOST, 0)) as behind:
        door = Proxy(free_ports(1)[0], behind.getsockname()[1])
        await door.open()
        # Without a turn of the loop, so that it has all the turns of coming in before it.
        with socket.create_connection((HOST, door.port)) as caller:
            caller.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await door.close()
            async with asyncio.timeout(20):
                with pytest.raises(ConnectionError):
                    await asyncio.get_running_loop().sock_recv(caller, 1)
        await eventually(lambda: _is_empty(door))


async def test_who_is_hung_up_on_while_coming_in_leaves_nobody_behind() -> None:
    with socket.create_server((HOST, 0)) as behind:
        door = Proxy(free_ports(1)[0], behind.getsockname()[1])
        await door.open()
        with socket.create_connection((HOST, door.port)) as caller:
            for _ in range(20):  # turns of the loop: no further than to its coming in
                if not door.ends:
                    await asyncio.sleep(0)
            await door.hang_up()
            # The way on was begun: it is taken back.
            behind.settimeout(20)
            on, _ = await asyncio.to_thread(behind.accept)
            with on:
                on.settimeout(20)
                with pytest.raises(ConnectionError):
                    await asyncio.to_thread(on.recv, 1)
            caller.settimeout(20)
            with pytest.raises(ConnectionError):
                await asyncio.to_thread(caller.recv, 1)
        await eventually(lambda: _is_empty(door))
        await door.close()


async def _is_empty(door: Proxy) -> bool:
    return not door.ends
