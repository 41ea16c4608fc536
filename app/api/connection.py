"""Connections: how long a client may keep us waiting, and how many there may be.

uvicorn bounds how long an idle connection is kept, and nothing else: neither how long a request
takes to arrive nor how long an answer takes to be read. Source: uvicorn 0.54, `Config`.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import h11
from prometheus_client import Counter
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from app.api.problems import Kind, ProblemError, answer

_AT_ONCE = struct.pack("ii", 1, 0)
_LEAST_READ = 16 * 1024  # bytes of an answer, within the patience
_closed = Counter("tillflow_connections_closed", "Connections that we closed, by why.", ["reason"])


class PatientConnection(H11Protocol):
    """A connection that is closed when it keeps us waiting, for the rest of a request or for the
    reading of an answer. Where there are too many, the one goes for which we have waited the
    longest."""

    patience_seconds: ClassVar[float] = 10
    """For a whole request to arrive, and for a part of an answer to be read."""

    most: ClassVar[int] = 800
    """A process may have 1024 files open where nobody raised that; the others are for databases."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = self.loop.time()
        self._answered = False
        self._unread = 0
        self._arrival = _Alarm(self.loop, self.patience_seconds, self._too_slow)
        self._reading = _Alarm(self.loop, self.patience_seconds, self._look_at_reading)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._mind_arrival()
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind_arrival()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        self._answered = True
        super().on_response_complete()  # begins with what was sent ahead
        self._mind_arrival()
        self._mind_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._mind_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._mind_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrival.stop()
        self._reading.stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse("not http", Kind.INVALID_REQUEST, "This is not HTTP as we speak it.")

    @property
    def _waits(self) -> bool:
        """Whether it is for the client to send something: nothing is done for it."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _mind_arrival(self) -> None:
        """The time runs from the connection's beginning, or from the first byte of a later
        request, to the request's last."""
        begun = not self._answered or bool(self.conn.trailing_data[0])
        arrives = self.conn.their_state is h11.SEND_BODY or (self._waits and begun)
        if not arrives or self.transport.is_closing():
            self._arrival.stop()
        elif not self._arrival.is_set:
            self._arrival.set()

    def _too_slow(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._drop("slow")  # not a word came
        else:
            told = f"Send a whole request within {self.patience_seconds:g} seconds."
            self._refuse("slow", Kind.TIMEOUT, told)

    def _mind_reading(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        if self._unread:
            self._reading.set()
        else:
            self._reading.stop()

    def _look_at_reading(self) -> None:
        if self.transport.get_write_buffer_size() > self._unread - _LEAST_READ:
            self._drop("unread")
        else:
            self._mind_reading()

    def _make_room(self) -> None:
        waiting = [
            other
            for other in self.connections
            if isinstance(other, PatientConnection)
            and other is not self
            and other._waits
            and not other.transport.is_closing()
        ]
        if waiting:
            min(waiting, key=lambda other: other._since)._drop("crowded")
        else:
            self._refuse("crowded", Kind.UNAVAILABLE, "There are too many connections.")

    def _refuse(self, reason: str, kind: Kind, detail: str) -> None:
        """Answer, instead of the application, and close."""
        made = answer(ProblemError(kind, f"{detail} Nothing was done."))
        headers = [*self.server_state.default_headers, *made.raw_headers, CLOSE_HEADER]
        whole = (
            h11.Response(
                status_code=kind.status, headers=headers, reason=STATUS_PHRASES[kind.status]
            ),
            h11.Data(data=bytes(made.body)),
            h11.EndOfMessage(),
        )
        try:
            for event in whole:
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # it is being answered already
            self._drop(reason)
            return
        _closed.labels(reason).inc()
        self.transport.close()
        self._mind_reading()

    def _drop(self, reason: str) -> None:
        _closed.labels(reason).inc()
        # Else the system would go on with what is not sent yet, for minutes.
        own: socket.socket = self.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


class _Alarm:
    """Calls `then` when it was set and not stopped for `seconds`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, then: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._then = then
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        return self._timer is not None

    def set(self) -> None:
        self.stop()
        self._timer = self._loop.call_later(self._seconds, self._ring)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._then()
