"""Shoppers, so many at a time, until every order of the plan was placed and followed."""

import asyncio
from functools import partial

import httpx

from chaos.plan import Plan, PlannedOrder
from chaos.shopping import Shopping
from chaos.storefront import Storefront


class Load:
    """Places the plan's orders in their order."""

    def __init__(self, plan: Plan, shop: Storefront, at_once: int) -> None:
        self._plan = plan
        self._shop = shop
        self._room = asyncio.Semaphore(at_once)
        self._placed: set[str] = set()
        self._done = 0
        self._awaited: list[tuple[int, asyncio.Event]] = []

    @property
    def placed(self) -> int:
        """How many orders had their first request answered."""
        return len(self._placed)

    def was_placed(self, order: PlannedOrder) -> bool:
        """Whether its first request was answered."""
        return order.order_id in self._placed

    @property
    def done(self) -> int:
        """How many orders the storefront has no more to do about."""
        return self._done

    async def run(self) -> None:
        """Place every order, and see each through."""
        async with (
            httpx.AsyncClient(timeout=10, trust_env=False) as bank,
            asyncio.TaskGroup() as shoppers,
        ):
            for order in self._plan.orders:
                await self._room.acquire()
                shoppers.create_task(self._shop_for(order, bank))

    async def until_placed(self, count: int) -> None:
        """Wait until so many orders were placed."""
        if self.placed < count:
            there = asyncio.Event()
            self._awaited.append((count, there))
            await there.wait()

    async def _shop_for(self, order: PlannedOrder, bank: httpx.AsyncClient) -> None:
        try:
            await Shopping(order, self._shop, bank, partial(self._note, order.order_id)).run()
        finally:
            self._done += 1
            self._room.release()

    def _note(self, order_id: str) -> None:
        self._placed.add(order_id)
        for count, there in self._awaited:
            if count <= self.placed:
                there.set()
