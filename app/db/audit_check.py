"""Whether the audit trail is as it was written, and what stands in it."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.audit import ENTRY, seal
from app.db.engine import transaction
from app.db.tables import AuditEndRow, AuditRow
from app.domain.audit import Action, Entry
from app.keyring import Keyring, UnknownKeyError

_PAGE = 1000
_COUNT_SECONDS = 600  # nobody waits but a command, and the trail is long
_END = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class End:
    """Where a trail ended: its last entry, by number and mac. It is no secret."""

    number: int
    mac: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.mac.hex()}"

    @classmethod
    def read(cls, text: str) -> "End":
        """As `str` writes it. Raises ValueError: of less, nothing could be said."""
        read = _END.fullmatch(text)
        if read is None:
            raise ValueError("that is no end of a trail")
        return cls(int(read[1]), bytes.fromhex(read[2]))


@dataclass(frozen=True)
class Place:
    """How far a trail was followed. What comes next is bound to `seal`."""

    end: End
    seal: bytes


START = Place(End(0, b""), b"")
_AUDIT = SQLModel.metadata.tables[AuditRow.__tablename__]
_row = _AUDIT.c
# A time that Python has no word for stands for one that nobody wrote.
_SHOWN = [
    func.greatest(func.least(column, text("'9999-12-30'")), text("'0001-01-02'"))
    if column is _row.at
    else column
    for column in _row
]


class AlteredError(Exception):
    """What is wrong with the trail, in words; the first of it."""


async def verify(engine: AsyncEngine, keyring: Keyring, known: End | None = None) -> End:
    """Where the trail ends, after every entry was looked at, beside a running service.

    `known`: an end that it had once, and must still go through. Raises AlteredError,
    RecordsUnavailableError.
    """
    at, before = START, None
    while at != before:
        async with transaction(engine) as session:
            before, at = at, await _follow(session, keyring, at, known)
    async with transaction(engine) as session:
        return await check(session, keyring, at, known)


async def check(
    session: AsyncSession, keyring: Keyring, at: Place = START, known: End | None = None
) -> End:
    """Where the trail ends: every entry behind `at`, and what is kept of the end, are as they were
    written. Nobody writes meanwhile. Raises AlteredError."""
    kept = await session.get(AuditEndRow, True, with_for_update=True)
    before = None
    while at != before:
        before, at = at, await _follow(session, keyring, at, known)
    number = at.end.number
    if kept is None:
        raise AlteredError("where the trail ends is not known any more")
    if number < max(kept.number, 1) or (known is not None and number < known.number):
        raise AlteredError(f"row {number + 1} is missing")
    if number > kept.number:
        raise AlteredError(f"row {kept.number + 1} stands behind the end of the trail")
    if not compare_digest(kept.seal, at.seal):
        raise AlteredError("where the trail ends was altered")
    return at.end


async def entries(
    engine: AsyncEngine, object_: str | None, who: str | None, since: datetime | None
) -> AsyncIterator[list[Entry]]:
    """Those about the object, of whom, since when, as far as given: a page at a time, the oldest
    first. Of a client is what it did for one whom it named, too. Raises
    RecordsUnavailableError."""
    wanted = []
    if object_ is not None:
        wanted.append(_row.object == object_)
    if who is not None:
        wanted.append(or_(_row.who == who, _row.who.endswith(f" ({who})", autoescape=True)))
    if since is not None:
        wanted.append(_row.at >= since)
    begin = None
    while True:
        async with transaction(engine) as session:
            page = await _page(session, begin, *wanted)
        if not page:
            return
        yield page
        begin = page[-1].number + 1


async def key_ids(engine: AsyncEngine) -> dict[str, int]:
    """How many entries need each key, by its id. Raises RecordsUnavailableError."""
    counted = select(_row.mac_key, func.count()).group_by(_row.mac_key)
    async with transaction(engine, _COUNT_SECONDS) as session:
        connection = await session.connection()
        return dict((await connection.execute(counted)).all())


async def _follow(session: AsyncSession, keyring: Keyring, at: Place, known: End | None) -> Place:
    """How far a page of the entries behind `at` are as they were written."""
    page = await _page(session, at.end.number or None)
    # From the last one on: there must be one of it, on whichever page a second would stand.
    for entry in page[1:] if at.end.number else page:
        number = at.end.number + 1
        if entry.number != number:
            raise AlteredError(f"row {number} is missing")
        try:
            mac = keyring.mac(entry.told(at.seal), ENTRY, entry.mac_key)
        except UnknownKeyError as error:
            raise AlteredError(f"row {number} cannot be verified: {error}") from None
        if not compare_digest(mac, entry.mac):
            raise AlteredError(f"row {number} was altered")
        if known is not None and known.number == number and known.mac != mac:
            raise AlteredError(f"row {number} is another one than it was")
        at = Place(End(number, mac), seal(keyring, entry.mac_key, mac))
    return at


async def _page(
    session: AsyncSession, begin: int | None, *wanted: ColumnElement[bool]
) -> list[Entry]:
    """At the start with whatever stands before row 1: nothing may."""
    behind = [_row.number >= begin] if begin is not None else []
    connection = await session.connection()
    rows = await connection.execute(
        select(*_SHOWN).where(*behind, *wanted).order_by(_row.number).limit(_PAGE)
    )
    return [
        Entry(number, Action(*action), mac_key, bytes(mac))
        for number, *action, mac_key, mac in rows
    ]
