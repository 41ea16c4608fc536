"""The worker's parts, as wired, with crash points around each call and each write."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import event
from temporalio.client import Client

from app.config import Settings
from app.db.engine import create_engine
from app.domain.fulfilment import FulfilmentStep
from app.domain.gateway import Gateway, GatewayEvent
from app.domain.records import Records
from app.temporal.delivery import CallbackDelivery
from app.wiring import Parts, build, build_steps
from chaos.crash_points import Boundaries

_GATEWAY = frozenset(
    "authorize capture create_customer look_up look_up_dispute look_up_refund refund void".split()
)
_RECORDS = frozenset("append callback_delivered keep_customer open_refund".split())
_STEP = frozenset({"run", "undo"})
_CHANGES = ("INSERT", "UPDATE")
_CHUNK = 65_536


async def build_watched(settings: Settings, boundaries: Boundaries) -> Parts:
    """All parts from `settings`. The gateway is reached through a relay that sees its answers."""
    relay = await _Relay(settings.stripe_api_base, boundaries.gateway_answers).start()
    parts = await build(settings.model_copy(update={"stripe_api_base": relay.url}))
    # An engine of the steps' own: what they change there is seen before it is committed.
    engine = create_engine(settings.database_url.get_secret_value())

    def changed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(_CHANGES):
            boundaries.reached("during_call")

    event.listen(engine.sync_engine, "after_cursor_execute", changed)
    config = parts.temporal.config()
    config["interceptors"] = [*config["interceptors"], boundaries]
    temporal = Client(**config)
    records = cast("Records", _Watched(parts.records, boundaries, "write", _RECORDS))

    async def close() -> None:
        await relay.close()
        await engine.dispose()
        await parts.close()

    return replace(
        parts,
        gateway=cast("Gateway", _WatchedGateway(parts.gateway, boundaries, "call", _GATEWAY)),
        records=records,
        steps=tuple(
            cast("FulfilmentStep", _Watched(step, boundaries, "call", _STEP))
            for step in build_steps(settings, engine)
        ),
        temporal=temporal,
        delivery=_WatchedDelivery(temporal, records, settings.task_queue, boundaries),
        close=close,
    )


class _Watched:
    """Any part: the moment before and after each of `methods` is a crash point."""

    def __init__(
        self, real: object, boundaries: Boundaries, kind: str, methods: frozenset[str]
    ) -> None:
        self._real = real
        self._boundaries = boundaries
        self._kind = kind
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in self._methods:
            return real

        async def watched(*arguments: Any, **named: Any) -> Any:
            self._boundaries.reached(f"before_{self._kind}")
            answer = await self._do(name, real(*arguments, **named))
            self._boundaries.reached(f"after_{self._kind}")
            return answer

        return watched

    async def _do(self, name: str, call: Awaitable[Any]) -> Any:
        return await call


class _WatchedGateway(_Watched):
    async def _do(self, name: str, call: Awaitable[Any]) -> Any:
        self._boundaries.calls_gateway(name)
        try:
            return await call
        finally:
            self._boundaries.calls_gateway(None)


class _WatchedDelivery(CallbackDelivery):
    """One inbox holds the callbacks of many orders."""

    def __init__(
        self, client: Client, records: Records, task_queue: str, boundaries: Boundaries
    ) -> None:
        super().__init__(client, records, task_queue)
        self._boundaries = boundaries

    async def deliver(self, event: GatewayEvent) -> None:
        self._boundaries.is_about(event.order_id)
        self._boundaries.reached("before_call")
        await super().deliver(event)
        self._boundaries.reached("after_call")


class _Relay:
    """Hands bytes to and fro between our HTTP client and the gateway. `answered` is called with the
    method of the latest request once its answer is here, and before the client has it."""

    def __init__(self, url: str, answered: Callable[[str], None]) -> None:
        gateway = urlsplit(url)
        self._gateway = (gateway.hostname, gateway.port)
        self._answered = answered

    async def start(self) -> "_Relay":
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gateway_reader, gateway_writer = await asyncio.open_connection(*self._gateway)
        method = ""

        def asked(chunk: bytes) -> None:
            nonlocal method
            first = chunk.split(b" ", 1)[0]
            if first in (b"GET", b"POST", b"DELETE"):
                method = first.decode()

        def told(_chunk: bytes) -> None:
            self._answered(method)

        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(reader, gateway_writer, asked))
            both.create_task(_pass_on(gateway_reader, writer, told))


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, see: Callable[[bytes], None]
) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            see(chunk)
            writer.write(chunk)
            await writer.drain()
    writer.close()
