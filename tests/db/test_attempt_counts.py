"""Counts of attempts, in a table and in Redis: the same of both."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.attempt_counts import Place, PostgresCounts
from app.wiring import build_redis
from tests.redis import Redis

DAY = 24 * 3600
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed here"
)


Acquire = Callable[[Place], Awaitable[bool]]


@pytest.fixture(params=["postgres", pytest.param("redis", marks=needs_redis)])
async def acquire(
    request: pytest.FixtureRequest, engine: AsyncEngine, tmp_path: Path
) -> AsyncIterator[Acquire]:
    if request.param == "postgres":
        counts = PostgresCounts(engine)
        yield lambda place: counts.acquire_all([place])
        return
    async with Redis(tmp_path) as redis:
        storage, pool = build_redis(redis.url)
        yield lambda place: storage.acquire_sliding_window_entry(*place)
        await pool.aclose()


async def test_no_more_than_the_limit_get_in_however_many_come_at_once(acquire: Acquire) -> None:
    one = Place("door", 7, DAY, 1)
    assert sum(await asyncio.gather(*(acquire(one) for _ in range(30)))) == 7
    assert not await acquire(one)


async def test_a_place_that_is_given_back_can_be_taken_again(acquire: Acquire) -> None:
    both = Place("door", 2, DAY, 2)
    assert await acquire(both)
    assert not await acquire(both)
    assert await acquire(Place("door", 2**62, DAY, -3))
    assert await acquire(both)
    assert not await acquire(both)
    one = Place("door", 2, DAY, 1)
    assert await acquire(one)  # of three that were given back
    assert not await acquire(one)


async def test_each_name_is_counted_for_itself(acquire: Acquire) -> None:
    assert await acquire(Place("one", 1, DAY, 1))
    assert await acquire(Place("another", 1, DAY, 1))
    assert not await acquire(Place("one", 1, DAY, 1))


async def test_whoever_wants_more_than_the_limit_gets_nothing(acquire: Acquire) -> None:
    assert not await acquire(Place("door", 1, DAY, 2))
    assert await acquire(Place("door", 1, DAY, 1))


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
    assert await counts.acquire_all([Place("door", 10**6, DAY, 10**6)])
    await _moved_back(engine, 1)
    reach = int(10**6 * (1 - time.time() % DAY / DAY))
    slack = 1000  # a minute and a half
    assert not await counts.acquire_all([Place("door", reach, DAY, 2 * slack)])
    assert await counts.acquire_all([Place("door", reach + 2 * slack, DAY, slack)])
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT previous, current FROM attempt_counts"))
        assert [tuple(row) for row in rows] == [(10**6, slack)]


async def test_the_window_before_that_counts_no_more_and_is_thrown_away(
    engine: AsyncEngine,
) -> None:
    counts = PostgresCounts(engine)
    full = Place("door", 5, DAY, 5)
    assert await counts.acquire_all([full, full._replace(name="another")])
    await _moved_back(engine, 2)
    assert await counts.acquire_all([full])
    await PostgresCounts(engine).acquire_all([Place("new", 5, DAY, 1)])
    async with engine.connect() as connection:
        names = await connection.execute(text("SELECT name FROM attempt_counts ORDER BY name"))
        assert list(names.scalars()) == ["door", "new"]
