"""Delivers callbacks right after their answer, as far as a few tasks can."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import Depends, Request
from prometheus_client import Counter

from app.domain.delivery import DeliveryUnavailableError, Failures

counted = Counter("tillflow_callbacks", "Callbacks by what became of them.", ["outcome"])
_log = structlog.get_logger()

# Each holds a database connection now and then, of the twenty that the doors need too.
_TASKS = 4
_MOST_ORDERS = 1000
# While Temporal is away the doors have better use for the time than asking whether it is back.
_REST_SECONDS = 2


class Deliverers:
    """A bounded number of orders, and a few tasks that have `deliver` hand over what waits for
    them. Whatever goes wrong or finds no place here, the inbox keeps and the schedule delivers."""

    def __init__(
        self, deliver: Callable[[str], Awaitable[int]], rest_seconds: float = _REST_SECONDS
    ) -> None:
        self._deliver = deliver
        self._rest_seconds = rest_seconds
        self._rest_until = 0.0
        self._orders: dict[str, None] = {}  # a set that remembers who came first
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = Failures(_TASKS)

    def wake(self, order_id: str) -> None:
        """Something waits for the order. Returns at once."""
        if len(self._orders) >= _MOST_ORDERS or _now() < self._rest_until:
            counted.labels("delayed").inc()
            return
        self._orders[order_id] = None
        if len(self._tasks) < _TASKS:
            self._tasks.add(asyncio.create_task(self._work()))

    async def close(self) -> None:
        """Stop, also in the middle: what was told and not noted is told again and known there."""
        self._orders.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _work(self) -> None:
        try:
            while self._orders:
                order_id = next(iter(self._orders))
                del self._orders[order_id]
                await self._try(order_id)
        finally:
            # At once, and not when the task is done: what is woken in between would find nobody.
            self._tasks -= {asyncio.current_task()}

    async def _try(self, order_id: str) -> None:
        try:
            await self._deliver(order_id)
        except Exception as error:
            counted.labels("delayed").inc()
            _log.warning("callbacks delayed", order_id=order_id, error=type(error).__name__)
            if isinstance(error, DeliveryUnavailableError) and self._failures.are_an_outage():
                # The schedule comes by as soon as Temporal is back. Nobody waits for it here.
                self._orders.clear()
                self._rest_until = _now() + self._rest_seconds
        else:
            self._failures.end()


def _now() -> float:
    return asyncio.get_running_loop().time()


def deliverers_of(request: Request) -> Deliverers:
    """Those of this process."""
    deliverers: Deliverers = request.app.state.deliverers
    return deliverers


WithDeliverers = Annotated[Deliverers, Depends(deliverers_of)]
