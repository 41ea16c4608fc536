"""The parts put together into one ASGI application."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.api import Api
from sandbox.clock import Clock
from sandbox.context import Context
from sandbox.control import CLOCK_OFFSET, Control
from sandbox.deliveries import Deliveries
from sandbox.faults import Faults
from sandbox.pages import Pages
from sandbox.recorder import Recorder
from sandbox.settings import Settings
from sandbox.store import Store
from sandbox.timers import Timers
from sandbox.webhook_endpoints import register_from_settings

log = logging.getLogger("sandbox")


def build(settings: Settings) -> Starlette:
    """The application; it opens its database now and starts its background work when served."""
    store = Store(settings.database)
    clock = Clock(float(store.meta(CLOCK_OFFSET) or 0.0))
    context = Context(store, clock, settings)
    register_from_settings(context)
    deliveries = Deliveries(context)
    timers = Timers(context, deliveries.wake)
    faults, recorder = Faults(store, clock), Recorder(settings.record)

    def after_commit() -> None:
        deliveries.wake()
        timers.wake()

    api = Api(store, clock, settings, faults, recorder, after_commit)
    pages = Pages(context, after_commit)
    control = Control(context, faults, deliveries, timers, after_commit)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        deliveries.retry_now()
        background = [asyncio.create_task(deliveries.run()), asyncio.create_task(timers.run())]
        for task in background:
            task.add_done_callback(_report)
        yield
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        recorder.close()
        store.close()

    async def healthz(request: Request) -> Response:
        store.db.execute("SELECT 1").fetchone()
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/v1/{path:path}", api.answer, methods=["GET", "POST", "DELETE"]),
            *control.routes(),
            *pages.routes(),
        ],
        lifespan=lifespan,
    )


def _report(task: asyncio.Task[None]) -> None:
    """Background work that ends by itself has failed, and nobody awaits it to notice."""
    if not task.cancelled():
        log.error("background work stopped", exc_info=task.exception())
