"""Counts of attempts to pay, in a table, as the library `limits` keeps them in Redis: in a sliding
window, which is the window of now and, as far as it still reaches, the one before."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import transaction

_TIDY_SECONDS = 3600.0

# `reach` is how much of the window before is still within the sliding one.
_ACQUIRE = text("""
    INSERT INTO attempt_counts AS known (name, number, previous, current, ends_at)
    VALUES (:name, :number, 0, :amount, to_timestamp(:ends_at))
    ON CONFLICT (name) DO UPDATE SET
        number = excluded.number,
        previous = CASE excluded.number - known.number
            WHEN 0 THEN known.previous WHEN 1 THEN known.current ELSE 0 END,
        current = excluded.current
            + CASE excluded.number WHEN known.number THEN known.current ELSE 0 END,
        ends_at = excluded.ends_at
    WHERE :limit >= excluded.current
        + CASE excluded.number WHEN known.number THEN known.current ELSE 0 END
        + floor(:reach * CASE excluded.number - known.number
            WHEN 0 THEN known.previous WHEN 1 THEN known.current ELSE 0 END)
    RETURNING name
""")


class Place(NamedTuple):
    """`amount` more under a name, but never more than `limit` within `expiry` seconds."""

    name: str
    limit: int
    expiry: int
    amount: int


class PostgresCounts:
    """Raises RecordsUnavailableError when the database cannot be reached."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._tidy_at = 0.0

    async def acquire_all(self, places: Sequence[Place]) -> bool:
        """Count all of them or none: each `amount`, which may be less than nothing, unless that
        would be more than `limit`. Whoever asks for several kinds names them in one order, lest two
        wait for each other."""
        if any(place.amount > place.limit for place in places):
            return False
        await self._tidy()
        async with transaction(self._engine) as session:
            connection = await session.connection()
            for place in places:
                if (await connection.execute(_ACQUIRE, _values(place))).first() is None:
                    await session.rollback()
                    return False
        return True

    async def _tidy(self) -> None:
        """Now and then, throw away what counts no more."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + _TIDY_SECONDS
        async with transaction(self._engine) as session:
            connection = await session.connection()
            await connection.execute(text("DELETE FROM attempt_counts WHERE ends_at < now()"))


def _values(place: Place) -> dict[str, Any]:
    number, begun, reach = _window(place.expiry)
    return {
        "name": place.name,
        "number": number,
        "amount": place.amount,
        "limit": place.limit,
        "reach": reach,
        "ends_at": begun + 2 * place.expiry,
    }


def _window(expiry: int) -> tuple[int, int, float]:
    """The window of now: its number, its beginning, and how far it reaches into the one before."""
    now = time.time()
    number = int(now // expiry)
    return number, number * expiry, 1 - now % expiry / expiry
