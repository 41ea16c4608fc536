"""Where a call comes from: nobody but a trusted proxy is believed."""

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.doors.served import served
from tests.walk.cards import canary

TOLD = "203.0.113.9, 198.51.100.7"


@pytest.mark.parametrize(
    ("trusted", "told", "source"),
    [
        pytest.param(None, TOLD, "127.0.0.1", id="nobody is trusted"),
        pytest.param("10.0.0.0/8", TOLD, "127.0.0.1", id="another is trusted"),
        pytest.param("10.0.0.0/8,127.0.0.1", TOLD, "198.51.100.7", id="trusted"),
        pytest.param("127.0.0.1", canary(), "unknown", id="no address"),
    ],
)
async def test_a_trusted_proxy_alone_says_who_is_calling(
    database_url: str, engine: AsyncEngine, trusted: str | None, told: str, source: str
) -> None:
    async with (
        served(database_url, trusted_proxies=trusted) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as stranger,
    ):
        headers = {"X-Forwarded-For": told}
        answer = await stranger.post("/api/payment/order-1/cancel", headers=headers)
        assert answer.status_code in (400, 401)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT source FROM audit")) == source
