"""What the audit trail is told of reading: the Temporal UI asks for each payload of a page by
itself."""

import asyncio
from dataclasses import replace
from datetime import datetime

from app.db.audit import AuditTrail
from app.domain.audit import Action

DECODE = "POST /decode"


class ReadingByMinute:
    """A trail in which one row tells of all that the same caller read, or was refused to read, from
    the same address in the same minute: it is there before the first of it is answered."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        self._minute: datetime | None = None
        self._rows: dict[Action, asyncio.Task[None] | None] = {}

    async def record(self, action: Action) -> None:
        """As the trail's own; raises the same."""
        if action.what != DECODE:
            await self._trail.record(action)
            return
        row = self._known(action)
        written = self._rows.get(row)
        if written is None or _failed(written):
            written = asyncio.create_task(self._trail.record(action))
            self._rows[row] = written
        # Who gives up waiting takes the row from nobody else.
        await asyncio.shield(written)

    def note(self, action: Action) -> None:
        """As the trail's own."""
        if action.what == DECODE:
            row = self._known(action)
            if row in self._rows:
                return
            self._rows[row] = None
        self._trail.note(action)

    def _known(self, action: Action) -> Action:
        """The row that tells of it: the minute stands for the moment."""
        minute = action.at.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._rows.clear()
        return replace(action, at=minute)


def _failed(written: "asyncio.Task[None]") -> bool:
    return written.done() and (written.cancelled() or written.exception() is not None)
