"""Counts of attempts, in a table and in Redis: the same of both."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from limits.aio.storage import SlidingWindowCounterSupport
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.attempt_counts import PostgresCounts
from app.wiring import build_redis
from tests.redis import Redis

DAY = 24 * 3600
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed here"
)


@pytest.fixture(params=["postgres", pytest.param("redis", marks=needs_redis)])
async def counts(
    request: pytest.FixtureRequest, engine: AsyncEngine, tmp_path: Path
) -> AsyncIterator[SlidingWindowCounterSupport]:
    if request.param == "postgres":
        yield PostgresCounts(engine)
        return
    async with Redis(tmp_path) as redis:
        storage, pool = build_redis(redis.url)
        yield storage
        await pool.aclose()


async def test_no_more_than_the_limit_get_in_however_many_come_at_once(
    counts: SlidingWindowCounterSupport,
) -> None:
    async def get_in() -> bool:
        return await counts.acquire_sliding_window_entry("door", 7, DAY)

    assert sum(await asyncio.gather(*(get_in() for _ in range(30)))) == 7
    assert not await get_in()


async def test_a_place_that_is_given_back_can_be_taken_again(
    counts: SlidingWindowCounterSupport,
) -> None:
    assert await counts.acquire_sliding_window_entry("door", 2, DAY, 2)
    assert not await counts.acquire_sliding_window_entry("door", 2, DAY, 2)
    assert await counts.acquire_sliding_window_entry("door", 2**62, DAY, -3)
    assert await counts.acquire_sliding_window_entry("door", 2, DAY, 2)
    assert not await counts.acquire_sliding_window_entry("door", 2, DAY, 2)
    _, _, current, _ = await counts.get_sliding_window("door", DAY)
    assert current == 1


async def test_each_name_is_counted_for_itself_and_can_be_forgotten(
    counts: SlidingWindowCounterSupport,
) -> None:
    assert await counts.acquire_sliding_window_entry("one", 1, DAY)
    assert await counts.acquire_sliding_window_entry("another", 1, DAY)
    assert not await counts.acquire_sliding_window_entry("one", 1, DAY)
    await counts.clear_sliding_window("one", DAY)
    assert await counts.acquire_sliding_window_entry("one", 1, DAY)
    assert not await counts.acquire_sliding_window_entry("another", 1, DAY)


async def test_whoever_wants_more_than_the_limit_gets_nothing(
    counts: SlidingWindowCounterSupport,
) -> None:
    assert not await counts.acquire_sliding_window_entry("door", 1, DAY, 2)
    assert (await counts.get_sliding_window("door", DAY))[2] == 0


async def _moved_back(engine: AsyncEngine, windows: int) -> None:
    """As if it were so many windows later."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE attempt_counts SET number = number - :windows,"
                " ends_at = ends_at - :windows * interval '1 day'"
            ),
            {"windows": windows},
        )


async def test_the_window_before_counts_as_far_as_it_reaches(engine: AsyncEngine) -> None:
    counts = PostgresCounts(engine)
    assert await counts.acquire_sliding_window_entry("door", 10**6, DAY, 10**6)
    await _moved_back(engine, 1)
    previous, left, current, _ = await counts.get_sliding_window("door", DAY)
    assert (previous, current) == (10**6, 0)
    reach = int(10**6 * left / DAY)
    slack = 1000  # a minute and a half
    assert not await counts.acquire_sliding_window_entry("door", reach, DAY, 2 * slack)
    assert await counts.acquire_sliding_window_entry("door", reach + 2 * slack, DAY, slack)
    assert (await counts.get_sliding_window("door", DAY))[:3:2] == (10**6, slack)


async def test_the_window_before_that_counts_no_more_and_is_thrown_away(
    engine: AsyncEngine,
) -> None:
    counts = PostgresCounts(engine)
    assert await counts.acquire_sliding_window_entry("door", 5, DAY, 5)
    assert await counts.acquire_sliding_window_entry("another", 5, DAY, 5)
    await _moved_back(engine, 2)
    assert await counts.acquire_sliding_window_entry("door", 5, DAY, 5)
    await PostgresCounts(engine).acquire_sliding_window_entry("new", 5, DAY, 1)
    async with engine.connect() as connection:
        names = await connection.execute(text("SELECT name FROM attempt_counts ORDER BY name"))
        assert list(names.scalars()) == ["door", "new"]
