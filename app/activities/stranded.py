"""Starts the workflows of orders that were left without one."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import now
from app.activities.pages import PageDone
from app.domain.delivery import Failures
from app.domain.order import Order
from app.domain.records import Records

_ORDERS = 100
# One after the other, and each may take five seconds of the activity's thirty.
_OUTAGE = 3
_log = structlog.get_logger()


class StrandedActivities:
    """An order is written before its workflow is started. Where that failed (the storefront was
    told so) and nobody asked again for `patience`, `start` has the workflow see to its end."""

    def __init__(
        self, records: Records, start: Callable[[Order], Awaitable[None]], patience: timedelta
    ) -> None:
        self._records = records
        self._start = start
        self._patience = patience

    @activity.defn
    async def start_stranded(self, after: str) -> PageDone:
        """See to the next of them; how many these were. One that fails is left to the next pass,
        but for an outage, which is waited out."""
        async with reported():
            before, failures = now() - self._patience, Failures(_OUTAGE)
            orders = await self._records.stranded_orders(before, after, _ORDERS)
            for order in orders:
                try:
                    await self._start(order)
                except Exception as error:
                    if failures.are_an_outage():
                        raise
                    name = type(error).__name__
                    _log.warning("order stays stranded", order_id=order.order_id, error=name)
                else:
                    failures.end()
            return PageDone(len(orders), orders[-1].order_id if len(orders) == _ORDERS else None)
