"""Closing a connection without an answer, which an ASGI application cannot ask for by itself."""

import asyncio

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_open: dict[tuple[str, int], asyncio.Transport] = {}


class DroppableProtocol(H11Protocol):
    """Uvicorn's own protocol, remembering its transport by the caller's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            _open.pop(self.client, None)
        super().connection_lost(exc)


async def drop(request: Request) -> None:
    """Close the caller's connection at once and wait until it is closed."""
    if request.client is None:
        return
    transport = _open.get((request.client.host, request.client.port))
    if transport is not None:
        transport.abort()
    # The body was read, so the next thing to be heard is that the connection is gone.
    await request.receive()
