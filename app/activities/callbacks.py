"""Delivers what the callback inbox still holds."""

from collections.abc import Awaitable, Callable

from temporalio import activity

from app.activities.failures import reported
from app.domain.gateway import GatewayEvent
from app.domain.records import Records

_BATCH = 200


class CallbackActivities:
    """`deliver` hands one callback to its payment's workflow."""

    def __init__(
        self, records: Records, deliver: Callable[[GatewayEvent], Awaitable[None]]
    ) -> None:
        self._records = records
        self._deliver = deliver

    @activity.defn
    async def deliver_callbacks(self) -> int:
        """Deliver what waits, oldest first; how many there were. One that cannot be delivered keeps
        none of the others of its batch waiting."""
        async with reported():
            waiting = await self._records.waiting_callbacks(_BATCH)
            failures: list[Exception] = []
            for event in waiting:
                try:
                    await self._deliver(event)
                except Exception as error:
                    failures.append(error)
            if failures:
                raise failures[0]
            return len(waiting)
