"""The audit trail as rows: each bound by a keyed hash to the one before, and to its seal.

The database does not have the key: whoever can write there can break the chain, and not mend it.
The seal of the last row alone is kept, in the row that every writer locks. No row tells its own, so
nobody who takes rows away can have the trail go on from an earlier one. What comes while one batch
is written is the next batch; where nobody else wrote in between, a batch is one statement.
"""

import asyncio
from dataclasses import asdict, fields
from typing import Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.db.engine import transaction
from app.domain.audit import Action, canonical
from app.domain.records import RecordsUnavailableError
from app.keyring import Keyring

ENTRY = "audit"
SEAL = "audit seal"
_AT_ONCE = 500
_MOST_WAITING = 10_000
_log = structlog.get_logger()
_FIELDS = tuple(field.name for field in fields(Action))
_END = text("SELECT number, seal FROM audit_end FOR UPDATE")
# One statement, however many rows. It writes nothing where the trail ends elsewhere by now.
_APPEND = text(
    """
    WITH new_end AS (
        UPDATE audit_end SET number = :number, seal = :seal
        WHERE number = :last AND seal = :last_seal RETURNING number
    )
    INSERT INTO audit (number, at, who, key_id, source, what, object, result, mac_key, mac)
    SELECT :last + place, at, who, key_id, source, what, object, result, :key, each_mac
    FROM new_end, unnest(
        CAST(:at AS timestamptz[]), CAST(:who AS text[]), CAST(:key_id AS text[]),
        CAST(:source AS text[]), CAST(:what AS text[]), CAST(:object AS text[]),
        CAST(:result AS text[]), CAST(:macs AS bytea[])
    ) WITH ORDINALITY AS new (at, who, key_id, source, what, object, result, each_mac, place)
    """
)


class Trail(Protocol):
    """Where it is told what somebody did."""

    async def record(self, action: Action) -> None:
        """Returns when `action` stands there for good. Raises RecordsUnavailableError when it
        cannot be written; it is in the log then."""

    def note(self, action: Action) -> None:
        """Have `action` written soon; where it cannot be, it is in the log."""


class AuditTrail:
    """Writes what somebody did: one task, for everybody who waits at that moment."""

    def __init__(self, engine: AsyncEngine, keyring: Keyring) -> None:
        self._engine = engine
        # Where the one statement is the transaction.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._end: tuple[int, bytes] | None = None  # where the trail ended when we wrote last
        self._keyring = keyring
        self._waiting: list[tuple[Action, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def record(self, action: Action) -> None:
        """Returns when `action` stands there for good.

        Raises RecordsUnavailableError when it cannot be written; it is in the log then.
        """
        await self._hand_over(action)

    def note(self, action: Action) -> None:
        """Have `action` written soon; where it cannot be, it is in the log. For what has changed
        nothing: it waits for no database that is away, and fills no memory."""
        if len(self._waiting) >= _MOST_WAITING:
            _lost(action, "too much waits")
            return
        self._hand_over(action).add_done_callback(_heed)

    async def close(self) -> None:
        """Returns when everything is written, or cannot be."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    def _hand_over(self, action: Action) -> asyncio.Future[None]:
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((action, written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return written

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:_AT_ONCE]
                del self._waiting[:_AT_ONCE]
                try:
                    await self._append([action for action, _ in batch])
                except Exception as error:
                    for action, written in batch:
                        _lost(action, type(error).__name__)
                        if not written.done():  # who waited may be gone
                            failure = RecordsUnavailableError("the audit trail takes nothing")
                            written.set_exception(failure)
                else:
                    for _, written in batch:
                        if not written.done():
                            written.set_result(None)
        finally:
            self._writer = None

    async def _append(self, actions: list[Action]) -> None:
        known, self._end = self._end, None
        if known is not None:
            async with transaction(self._autocommit) as session:
                self._end = await self._append_behind(known, actions, session)
        if self._end is None:
            async with transaction(self._engine) as session:
                connection = await session.connection()
                number, last = (await connection.execute(_END)).one()
                end = await self._append_behind((number, last), actions, session)
            self._end = end

    async def _append_behind(
        self, last: tuple[int, bytes], actions: list[Action], session: AsyncSession
    ) -> tuple[int, bytes] | None:
        """Where the trail ends now; None, and nothing written, where it did not end at `last`."""
        number, end = last
        key, macs = self._keyring.newest, []
        for number, action in enumerate(actions, last[0] + 1):
            mac = self._keyring.mac(canonical(number, action, key, end), ENTRY, key)
            macs.append(mac)
            end = seal(self._keyring, key, mac)
        columns = {name: [getattr(action, name) for action in actions] for name in _FIELDS}
        connection = await session.connection()
        written = await connection.execute(
            _APPEND,
            {
                **columns,
                "last": last[0],
                "last_seal": last[1],
                "macs": macs,
                "number": number,
                "key": key,
                "seal": end,
            },
        )
        return (number, end) if written.rowcount else None


def seal(keyring: Keyring, key: str, mac: bytes) -> bytes:
    """Of the row with that mac: what the next one is bound to. Raises UnknownKeyError."""
    return keyring.mac(mac, SEAL, key)


def _lost(action: Action, why: str) -> None:
    told = {**asdict(action), "at": action.at.isoformat()}
    _log.error("not in the audit trail", why=why, **told)


def _heed(written: "asyncio.Future[None]") -> None:
    if not written.cancelled():
        written.exception()  # it is in the log
