"""One byte of the audit trail is changed at a time: each change must be found, and its row named.

python -m tests.db.alter --count 1000 --seed 1   on a PostgreSQL of its own

A superuser changes it, past the triggers, in every column of random rows and in what is kept of the
trail's end. The same seed changes the same places. What a column cannot hold, or what would stand
twice, is drawn again.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.audit import AuditTrail
from app.db.audit_check import AlteredError, check
from app.db.engine import create_engine
from app.db.migrate import migrate
from app.embedded.ports import free_port
from app.embedded.postgres import PostgresPart
from app.embedded.supervisor import Supervisor
from app.keyring import Keyring
from tests.db.audited import KEYRING, actions

_ROWS = 200
_END_EVERY = 20  # one in so many is a change of the end
# As PostgreSQL keeps a time: microseconds since then, in eight bytes.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_TIME = "timestamptz '2000-01-01 00:00:00Z' + CAST(:value AS interval)"


@dataclass
class Figures:
    """What became of the changes."""

    changed: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)
    """What was not said to be altered, or by another row's name."""

    def __str__(self) -> str:
        count = self.changed.total()
        return (
            f"audit trail: {count} changes of one byte in {len(self.changed)} columns: "
            f"{count - len(self.missed)} of {count} found, by the row that was altered"
        )


async def found(connection: AsyncConnection, keyring: Keyring = KEYRING) -> str | None:
    """What is said to be wrong, or None."""
    async with AsyncSession(connection, join_transaction_mode="create_savepoint") as session:
        try:
            await check(session, keyring)
        except AlteredError as error:
            return str(error)
    return None


async def lift_triggers(connection: AsyncConnection) -> None:
    """From now on the database forbids its owner nothing."""
    for table in ("audit", "audit_end"):
        await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))


async def alter(connection: AsyncConnection, count: int, seed: int) -> Figures:
    """Make `count` changes, each alone, and take each back."""
    draw = random.Random(seed)  # noqa: S311 - the same changes each time
    tables = {
        table: [
            dict(row)
            for row in (await connection.execute(text(f"SELECT * FROM {table}"))).mappings()  # noqa: S608
        ]
        for table in ("audit", "audit_end")
    }
    figures = Figures()
    while figures.changed.total() < count:
        turn = figures.changed.total()
        table = "audit_end" if turn % _END_EVERY == 0 else "audit"
        row = draw.choice(tables[table])
        column = draw.choice([column for column in row if column != "one"])
        point = await connection.begin_nested()
        try:
            await _change(connection, table, row, column, draw)
        except (DataError, IntegrityError):
            await point.rollback()
            continue
        said = await found(connection)
        await point.rollback()
        figures.changed[f"{table}.{column}"] += 1
        if not _names(said, table, row, column):
            figures.missed.append(f"{table}.{column} of row {row['number']}: {said}")
    return figures


def _names(said: str | None, table: str, row: dict[str, Any], column: str) -> bool:
    if said is None or table == "audit_end":
        return said is not None
    # A row under another number is missing where it was, or in the way where it is.
    return column == "number" or said.startswith(f"row {row['number']} ")


async def _change(
    connection: AsyncConnection,
    table: str,
    row: dict[str, Any],
    column: str,
    draw: random.Random,
) -> None:
    value, written = row[column], ":value"
    if isinstance(value, datetime):
        ticks = _other_number((value - _EPOCH) // timedelta(microseconds=1), draw)
        value, written = f"{ticks} microseconds", _TIME
    else:
        value = _other(value, draw)
    await connection.execute(
        text(f"UPDATE {table} SET {column} = {written} WHERE number = :number"),  # noqa: S608
        {"value": value, "number": row["number"]},
    )


def _other(value: object, draw: random.Random) -> object:
    if value is None:
        return chr(draw.randrange(32, 127))
    if isinstance(value, int):
        return _other_number(value, draw)
    if isinstance(value, bytes):
        at = draw.randrange(len(value))
        return value[:at] + bytes([value[at] ^ draw.randrange(1, 256)]) + value[at + 1 :]
    assert isinstance(value, str)
    at = draw.randrange(len(value))
    others = [letter for letter in map(chr, range(1, 128)) if letter != value[at]]
    return value[:at] + draw.choice(others) + value[at + 1 :]


def _other_number(number: int, draw: random.Random) -> int:
    kept = bytearray(number.to_bytes(8, signed=True))
    kept[draw.randrange(8)] ^= draw.randrange(1, 256)
    return int.from_bytes(kept, signed=True)


async def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    with TemporaryDirectory(prefix="tillflow-alterations-") as folder:
        async with Supervisor(Path(folder)) as supervisor:
            postgres = PostgresPart(Path(folder), free_port())
            await supervisor.start(postgres)
            await asyncio.to_thread(migrate, postgres.url)
            engine = create_engine(postgres.url)
            trail = AuditTrail(engine, KEYRING)
            for action in actions(_ROWS):
                await trail.record(action)
            async with engine.connect() as connection:
                await lift_triggers(connection)
                figures = await alter(connection, asked.count, asked.seed)
                whole = await found(connection) is None
            await engine.dispose()
    print(dict(figures.changed))
    print(*figures.missed[:20], sep="\n")
    print(figures)
    return 0 if whole and not figures.missed else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
