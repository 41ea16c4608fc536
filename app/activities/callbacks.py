"""Delivers what the callback inbox still holds."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import structlog
from temporalio import activity

from app.activities.failures import reported
from app.activities.pages import PageDone
from app.domain.delivery import DeliveryUnavailableError, Failures
from app.domain.records import Records, RecordsUnavailableError

_ORDERS = 100
_AT_ONCE = 8
_log = structlog.get_logger()


class CallbackActivities:
    """`deliver` hands all that waits for one order to its workflows; how much that was."""

    def __init__(self, records: Records, deliver: Callable[[str], Awaitable[int]]) -> None:
        self._records = records
        self._deliver = deliver

    @activity.defn
    async def deliver_callbacks(self, after: str) -> PageDone:
        """Deliver what waits for the next orders, several at once; how much that was. No order
        waits for another, but it stops where Temporal or the records are out of reach."""
        async with reported():
            orders = await self._records.orders_called_back(after, _ORDERS)
            delivered = await self._deliver_all(orders)
            return PageDone(delivered, orders[-1] if len(orders) == _ORDERS else None)

    async def _deliver_all(self, orders: list[str]) -> int:
        left, failures = iter(orders), Failures(_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._deliver_each(left, failures)) for _ in range(_AT_ONCE)
                ]
        except* (DeliveryUnavailableError, RecordsUnavailableError) as outages:
            raise outages.exceptions[0] from None
        return sum(task.result() for task in tasks)

    async def _deliver_each(self, left: Iterator[str], failures: Failures) -> int:
        delivered = 0
        for order_id in left:
            try:
                delivered += await self._deliver(order_id)
            except RecordsUnavailableError:
                raise
            except DeliveryUnavailableError as error:
                if failures.are_an_outage():
                    raise
                _log.warning("callbacks delayed", order_id=order_id, error=str(error))
            except Exception as error:  # of this order alone
                _log.error("callbacks stuck", order_id=order_id, error=type(error).__name__)
            else:
                failures.end()
        return delivered
