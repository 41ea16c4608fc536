"""Erases who the shopper was from orders that are over for long enough."""

from datetime import datetime, timedelta

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import now
from app.activities.pages import PageDone
from app.domain.records import Place, Records

_ORDERS = 500


class PersonalDataActivities:
    """Orders without news for `retention` lose the shopper's e-mail address and mandate. Their
    figures stay."""

    def __init__(self, records: Records, retention: timedelta) -> None:
        self._records = records
        self._retention = retention

    @activity.defn
    async def erase_personal_data(self, after: str) -> PageDone:
        """Erase from the next of them; how many these were."""
        async with reported():
            erased = await self._records.erase_personal_data(
                now() - self._retention, _place(after) if after else None, _ORDERS
            )
            return PageDone(len(erased), _name(erased[-1]) if len(erased) == _ORDERS else None)


def _name(place: Place) -> str:
    return f"{place.created_at.isoformat()} {place.order_id}"


def _place(name: str) -> Place:
    at, _, order_id = name.partition(" ")
    return Place(datetime.fromisoformat(at), order_id)
