"""Limits for whoever tests stolen cards: of how many attempts to pay may come to nothing.

A tester's attempts are declined, a shop's are mostly paid. So an attempt takes a place when it
begins, gives it back when nobody said no to it, and another one with it when it is paid. It is
counted for its order, its card, the shopper's address and the API key's client, and begins only if
each of them has a place left.
"""

import asyncio
from collections.abc import Mapping, Sequence
from enum import IntEnum

import limits
import structlog
from limits.aio.storage import RedisStorage
from limits.errors import StorageError

from app.db.attempt_counts import Place, PostgresCounts
from app.keyring import Keyring

_log = structlog.get_logger()

_REDIS_SECONDS = 0.5
_WITHOUT_REDIS_SECONDS = 10.0
_NEVER_TOO_MANY = 2**62


class Outcome(IntEnum):
    """What became of an attempt, as the places that it takes."""

    BEGUN = 1
    DECLINED = 0  # nothing more
    OPEN = -1  # nobody said no: nobody was asked, or a bank takes days
    PAID = -2


class AttemptLimits:
    """Who has a place left. `allowed`: the limit for each kind of subject, in the notation of
    `limits`. Counted in `redis`; while that is away, or where there is none, in `database`.

    What is counted has the name of a keyed hash: nobody reads cards or addresses from it.
    """

    def __init__(
        self,
        allowed: Mapping[str, str],
        keyring: Keyring,
        database: PostgresCounts,
        redis: RedisStorage | None,
    ) -> None:
        self._allowed = {kind: limits.parse(limit) for kind, limit in allowed.items()}
        self._keyring = keyring
        self._database = database
        self._redis = redis
        self._redis_away_until = 0.0

    def names(self, subjects: Mapping[str, str]) -> list[str]:
        """Under which names an attempt of all of `subjects`, by kind, is counted."""
        return [
            f"{kind}:{self._keyring.fingerprint(subject, f'limit of {kind}')}"
            for kind, subject in subjects.items()
        ]

    async def begin(self, names: Sequence[str]) -> bool:
        """Whether an attempt may begin. If not, it is as if nobody had asked. Raises
        RecordsUnavailableError."""
        return await self._count(names, Outcome.BEGUN)

    async def end(self, names: Sequence[str], outcome: Outcome) -> None:
        """Count what became of an attempt that began. Raises RecordsUnavailableError."""
        if outcome is not Outcome.DECLINED:
            await self._count(names, outcome)

    async def _count(self, names: Sequence[str], outcome: Outcome) -> bool:
        places = [self._place(name, outcome) for name in names]
        now = asyncio.get_running_loop().time()
        if self._redis is not None and now >= self._redis_away_until:
            try:
                async with asyncio.timeout(_REDIS_SECONDS):
                    return await _acquire_all(self._redis, places)
            except (StorageError, OSError) as error:  # a TimeoutError is an OSError
                _log.warning("limits without redis", error=type(error).__name__)
                self._redis_away_until = now + _WITHOUT_REDIS_SECONDS
        return await self._database.acquire_all(places)

    def _place(self, name: str, outcome: Outcome) -> Place:
        limit = self._allowed[name.partition(":")[0]]
        most = limit.amount if outcome is Outcome.BEGUN else _NEVER_TOO_MANY
        return Place(name, most, limit.get_expiry(), int(outcome))


async def _acquire_all(redis: RedisStorage, places: Sequence[Place]) -> bool:
    """All of them or none."""
    taken: list[Place] = []
    for place in places:
        if not await redis.acquire_sliding_window_entry(*place):
            for other in taken:
                await redis.acquire_sliding_window_entry(
                    other.name, _NEVER_TOO_MANY, other.expiry, -other.amount
                )
            return False
        taken.append(place)
    return True
