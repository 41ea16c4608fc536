"""The API on a socket, in this process: served as it is in production, on a database, with nobody
where Temporal should be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from app.api.main import create_app
from app.api.serving import options
from app.embedded.ports import free_port
from app.wiring import build
from tests.conftest import settings_with
from tests.walk.running import eventually


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """The address of somebody who takes connections and says nothing."""
    writers = []

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(say_nothing, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        server.close()
        for writer in writers:
            writer.close()


@asynccontextmanager
async def served(database_url: str, http: type | None = None, **known: Any) -> AsyncIterator[str]:
    """Its URL. `http`: another class of connections than the usual one."""
    nobody = f"127.0.0.1:{free_port()}"
    settings = settings_with(
        **{
            "database_url": database_url,
            "temporal_address": nobody,
            "api_port": free_port(),
            **known,
        }
    )
    parts = await build(settings, lazy_temporal=True)
    told = options(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(parts),
            **{**told, "http": http or told["http"]},
            host="127.0.0.1",
            port=settings.api_port,
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield f"http://127.0.0.1:{settings.api_port}"
    finally:
        server.should_exit = True
        await running
        await parts.close()
