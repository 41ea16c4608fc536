"""Starts the workflows of orders that were left without one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import now
from app.domain.order import Order
from app.domain.records import Records

_ORDERS = 100


@dataclass(frozen=True)
class StrandedPage:
    """A part of the stranded orders. `after` is the last of it, None where none is behind."""

    seen: int
    after: str | None


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
    async def start_stranded(self, after: str) -> StrandedPage:
        """See to the next of them."""
        async with reported():
            before = now() - self._patience
            orders = await self._records.stranded_orders(before, after, _ORDERS)
            for order in orders:
                await self._start(order)
            full = len(orders) == _ORDERS
            return StrandedPage(len(orders), orders[-1].order_id if full else None)
