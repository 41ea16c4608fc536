"""Keeping what is not known where operators and lists find it."""

from dataclasses import dataclass

from temporalio import activity

from app.activities.failures import reported
from app.domain.records import Records
from app.domain.unknown import UnknownOutcome


@dataclass(frozen=True)
class NoteUnknownInput:
    """An unknown outcome as it stands now."""

    order_id: str
    outcome: UnknownOutcome


class UnknownActivities:
    """Unknown outcomes, as Temporal notes them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    async def note_unknown(self, noted: NoteUnknownInput) -> None:
        """Keep what is not known, or that it is known by now."""
        async with reported():
            await self._records.note_unknown(noted.order_id, noted.outcome)
