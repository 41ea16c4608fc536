"""A door between two parts that can be shut, stalled or slowed, whatever they speak over TCP."""

import asyncio
import socket
import struct
from contextlib import suppress
from enum import StrEnum

from app.embedded.ports import HOST


class Weather(StrEnum):
    """What a caller meets at the door."""

    FAIR = "fair"
    CUT = "cut"  # connections are reset, new ones refused
    STALL = "stall"  # everything is taken, nothing arrives
    SLOW = "slow"  # everything arrives late


_NO_GOODBYE = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on `port` and passes on to `target`. `hurt` counts connections that were reset or
    stalled, and messages that came late."""

    def __init__(self, port: int, target: int, slow_seconds: float = 0.2) -> None:
        self.port = port
        self.target = target
        self.slow_seconds = slow_seconds
        self.weather = Weather.FAIR
        self.hurt = 0
        self.turn = asyncio.Lock()  # for whoever makes the weather
        self.ends: set[_End] = set()
        self._wanted = False
        self._listener: socket.socket | None = None
        self._coming: set[asyncio.Task[object]] = set()

    @property
    def is_open(self) -> bool:
        """Whether it takes connections."""
        return self._listener is not None

    async def open(self) -> None:
        """Listen, unless the weather forbids it."""
        self._wanted = True
        await self._arrange()

    async def close(self) -> None:
        """Stop listening, and reset every connection."""
        self._wanted = False
        await self._arrange()

    async def set_weather(self, weather: Weather) -> None:
        """Change what callers meet, for connections that are open, too."""
        self.weather = weather
        if weather in (Weather.CUT, Weather.STALL):
            self.hurt += len(self.ends) // 2
        await self._arrange()
        for end in list(self.ends):
            end.obey()

    async def hang_up(self) -> None:
        """Reset every connection there is; new ones are taken."""
        for end in list(self.ends):
            end.reset()

    async def _arrange(self) -> None:
        """Closed it refuses, as a port does behind which nobody is: taking a connection first and
        then dropping it would make the caller believe that its request was sent."""
        open_ = self._wanted and self.weather is not Weather.CUT
        loop = asyncio.get_running_loop()
        if open_ and self._listener is None:
            self._listener = socket.create_server((HOST, self.port))
            self._listener.setblocking(False)
            loop.add_reader(self._listener, self._take)
        elif not open_:
            if self._listener is not None:
                loop.remove_reader(self._listener)
                self._listener.close()
                self._listener = None
            for end in list(self.ends):
                end.reset()

    def _take(self) -> None:
        """Let somebody in. By hand: asyncio's servers leave a connection open that comes in while
        they are closed."""
        assert self._listener is not None  # noqa: S101 - it is what was read
        with suppress(BlockingIOError, ConnectionError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            coming = loop.create_task(loop.connect_accepted_socket(lambda: _End(self), connection))
            self._coming.add(coming)
            coming.add_done_callback(self._coming.discard)


class _End(asyncio.Protocol):
    """One end of a conversation. What it hears goes out at the other end, in the same order."""

    def __init__(self, proxy: Proxy, other: "_End | None" = None) -> None:
        self._proxy = proxy
        self._other = other
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._congested = False
        self._over = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP has no other
        self._transport = transport
        self._proxy.ends.add(self)
        if not self._proxy.is_open:  # it closed while this one came in
            self.reset()
        elif self._other is None:
            self._proxy.hurt += self._proxy.weather is Weather.STALL
            transport.pause_reading()
            self._connecting = asyncio.create_task(self._connect())
        else:
            self.obey()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, self._other = await loop.create_connection(
                lambda: _End(self._proxy, self), HOST, self._proxy.target
            )
        except OSError:
            self.reset()
            return
        if self._transport is None or self._transport.is_closing():  # who called is gone
            self._other.reset()
        self.obey()

    def obey(self) -> None:
        """Do as the weather says, from now on."""
        if self._other is None or self._transport is None:
            return
        if self._proxy.weather is not Weather.STALL:
            self._pass_on()
        self._listen()

    def data_received(self, data: bytes) -> None:
        self._held += data
        match self._proxy.weather:
            case Weather.FAIR | Weather.CUT:
                self._pass_on()
            case Weather.STALL:
                self._listen()
            case Weather.SLOW:
                self._proxy.hurt += 1
                self._listen()
                asyncio.get_running_loop().call_later(self._proxy.slow_seconds, self.obey)

    def eof_received(self) -> bool:
        self._over = True
        if not self._held:
            self._say_goodbye()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.ends.discard(self)
        if self._other is None or self._other._transport is None:
            return
        if exc is not None:
            self._other.reset()
        else:
            self._other._transport.close()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.congest(True)

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.congest(False)

    def congest(self, congested: bool) -> None:
        """The other end cannot take more for now, or can again."""
        self._congested = congested
        self._listen()

    def reset(self) -> None:
        """End the conversation without a goodbye, so that it is an error to who is at this end."""
        if self._transport is not None:
            socket_ = self._transport.get_extra_info("socket")
            if not self._transport.is_closing():
                socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_GOODBYE)
            self._transport.abort()

    def _pass_on(self) -> None:
        if self._held and self._other is not None and self._other._transport is not None:
            self._other._transport.write(bytes(self._held))
            self._held.clear()
        if self._over:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        other = self._other
        if other is None or other._transport is None or other._transport.is_closing():
            return
        if other._over and self._transport is not None:
            self._transport.close()
            other._transport.close()
        else:
            other._transport.write_eof()

    def _listen(self) -> None:
        """Hear more, unless there is something that has to go out first."""
        if self._transport is None or self._transport.is_closing():
            return
        stalled = self._proxy.weather is Weather.STALL
        if self._held or self._congested or stalled or self._other is None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
