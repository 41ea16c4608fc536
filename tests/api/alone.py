"""The API alone: in this process, on a database, with nobody where Temporal should be."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.api.main import create_app
from app.domain.api_keys import DEVELOPMENT_API_KEY
from app.embedded.ports import free_port
from app.wiring import build
from tests.conftest import settings_with


@asynccontextmanager
async def api(database_url: str, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A storefront's client of it."""
    nobody = f"127.0.0.1:{free_port()}"
    known = settings_with(**{**settings, "database_url": database_url, "temporal_address": nobody})
    parts = await build(known, lazy_temporal=True)
    app = create_app(parts)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://tillflow",
            headers={"Authorization": f"Bearer {DEVELOPMENT_API_KEY}", "Idempotency-Key": "key-1"},
        ) as client,
    ):
        yield client
    await parts.close()
