"""Who tests stolen cards soon gets nowhere; who buys does not notice."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.attempt_limits import AttemptLimits, Outcome
from app.config import Settings
from app.db.attempt_counts import PostgresCounts
from app.db.unsettled import UnsettledAttempts
from app.wiring import build_redis
from tests.conftest import settings_with
from tests.doors.served import silent_server
from tests.redis import Redis

ALLOWED = {"order": "10/day", "card": "5/day", "address": "10/day", "key": "40/day"}
CARD = "4000000000000002"
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed here"
)


@pytest.fixture
def limits(engine: AsyncEngine) -> AttemptLimits:
    return AttemptLimits(ALLOWED, settings_with().keyring(), PostgresCounts(engine), None)


async def tried(limits: AttemptLimits, outcome: Outcome, **subjects: str) -> bool:
    """Whether an attempt could be made, that ended so."""
    names = limits.names(subjects)
    if not await limits.begin(names):
        return False
    await limits.end(names, outcome)
    return True


def test_the_defaults_are_these() -> None:
    shown = {kind: Settings.model_fields[f"declines_per_{kind}"].default for kind in ALLOWED}
    assert shown == ALLOWED


@pytest.mark.parametrize(
    ("kind", "most"), [("order", 10), ("card", 5), ("address", 10), ("key", 40)]
)
async def test_each_may_be_declined_so_often(limits: AttemptLimits, kind: str, most: int) -> None:
    for _ in range(most):
        assert await tried(limits, Outcome.DECLINED, **{kind: "one"})
    assert not await tried(limits, Outcome.DECLINED, **{kind: "one"})
    assert await tried(limits, Outcome.DECLINED, **{kind: "another"})


async def test_attempts_under_way_count_until_it_is_known_what_became_of_them(
    limits: AttemptLimits,
) -> None:
    card = limits.names({"card": CARD})
    begun = await asyncio.gather(*(limits.begin(card) for _ in range(9)))
    assert sum(begun) == 5
    await limits.end(card, Outcome.OPEN)
    assert await limits.begin(card)
    assert not await limits.begin(card)


async def test_each_that_is_paid_allows_one_more(limits: AttemptLimits) -> None:
    for _ in range(3):
        assert await tried(limits, Outcome.PAID, key="shop")
    for _ in range(43):
        assert await tried(limits, Outcome.DECLINED, key="shop")
    assert not await tried(limits, Outcome.PAID, key="shop")


async def test_a_refused_attempt_takes_no_place_anywhere(limits: AttemptLimits) -> None:
    for _ in range(5):
        assert await tried(limits, Outcome.DECLINED, card=CARD)
    for _ in range(25):
        assert not await tried(limits, Outcome.PAID, card=CARD, address="203.0.113.7", key="shop")
    assert await tried(limits, Outcome.DECLINED, address="203.0.113.7", key="shop")


async def test_nothing_of_a_card_or_an_address_is_in_the_counts(
    limits: AttemptLimits, engine: AsyncEngine
) -> None:
    subjects = {"card": CARD, "address": "203.0.113.7", "key": "shop"}
    names = limits.names(subjects)
    assert await limits.begin(names)
    assert await UnsettledAttempts(engine).add("order-1", 1, names)
    async with engine.connect() as connection:
        shown = text(
            "SELECT attempt_counts::text FROM attempt_counts"
            " UNION ALL SELECT unsettled_attempts::text FROM unsettled_attempts"
        )
        rows = (await connection.execute(shown)).all()
    assert len(rows) == len(subjects) + 1
    for subject in subjects.values():
        assert subject not in str(rows)
    ring = settings_with(encryption_keys="other:" + "b3RoZXIga2V5IG9mIHRoZSB0ZXN0cywgMzIgYnl0ZXM=")
    with_another_key = AttemptLimits(ALLOWED, ring.keyring(), PostgresCounts(engine), None)
    assert await with_another_key.begin(with_another_key.names(subjects))
    assert await _rows(engine) == 2 * len(subjects)  # the hashes are keyed


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path) as redis:
        yield redis


async def _rows(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        [(count,)] = (await connection.execute(text("SELECT count(*) FROM attempt_counts"))).all()
    assert isinstance(count, int)
    return count


@needs_redis
async def test_redis_counts_instead_where_there_is_one(engine: AsyncEngine, redis: Redis) -> None:
    storage, pool = build_redis(redis.url)
    ring = settings_with().keyring()
    here, there = (AttemptLimits(ALLOWED, ring, PostgresCounts(engine), storage) for _ in range(2))
    for limits in (here, there, here, there, here):
        assert await tried(limits, Outcome.DECLINED, card=CARD)
    names = here.names({"card": CARD})
    assert not await there.begin(names)
    await here.end(names, Outcome.PAID)
    assert await there.begin(names)
    assert await _rows(engine) == 0
    await pool.aclose()


@needs_redis
async def test_while_redis_is_away_the_database_counts(engine: AsyncEngine, redis: Redis) -> None:
    storage, pool = build_redis(redis.url)
    ring = settings_with().keyring()
    limits = AttemptLimits(ALLOWED, ring, PostgresCounts(engine), storage)
    assert await tried(limits, Outcome.DECLINED, card=CARD)
    await redis.kill()
    made = [await tried(limits, Outcome.DECLINED, card=CARD) for _ in range(9)]
    assert sum(made) == 5
    assert await _rows(engine) == 1
    await pool.aclose()


async def test_a_redis_that_does_not_answer_is_not_waited_for(engine: AsyncEngine) -> None:
    async with silent_server() as address:
        storage, pool = build_redis(f"redis://{address}/0")
        limits = AttemptLimits(ALLOWED, settings_with().keyring(), PostgresCounts(engine), storage)
        async with asyncio.timeout(10):
            for _ in range(5):
                assert await tried(limits, Outcome.DECLINED, card=CARD, key="shop")
            assert not await tried(limits, Outcome.PAID, card=CARD, key="shop")
        await pool.aclose()
