"""The deliveries right after the answer: few at once, few in memory, gone when the API ends."""

import asyncio

from app.api.deliverers import Deliverers
from app.domain.delivery import DeliveryUnavailableError


class Delivery:
    """Notes whom it is asked to tell, and takes as long as it is told to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, order_id: str) -> int:
        self.told.append(order_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        return 1


async def _until_idle(delivery: Delivery, told: int) -> None:
    while delivery.at_once or len(delivery.told) < told:  # noqa: ASYNC110 - no event to wait for
        await asyncio.sleep(0)


async def test_a_storm_is_met_by_a_few_tasks_and_a_bounded_memory() -> None:
    delivery = Delivery()
    deliverers = Deliverers(delivery)
    for number in range(50_000):
        deliverers.wake(f"order-{number}")
    await asyncio.sleep(0)
    delivery.go_on.set()
    await _until_idle(delivery, told=1000)
    assert delivery.most_at_once == 4
    assert delivery.told == [f"order-{number}" for number in range(1000)]
    deliverers.wake("order-after-the-storm")
    await _until_idle(delivery, told=1001)
    await deliverers.close()


async def test_an_order_is_told_once_of_what_came_together_and_again_of_what_came_later() -> None:
    delivery = Delivery()
    deliverers = Deliverers(delivery)
    for _ in range(10):
        deliverers.wake("busy")
    await asyncio.sleep(0)
    deliverers.wake("busy")  # while it is being told
    delivery.go_on.set()
    await _until_idle(delivery, told=2)
    assert delivery.told == ["busy", "busy"]
    await deliverers.close()


async def test_while_temporal_is_away_nothing_piles_up_and_nobody_asks_for_it() -> None:
    delivery = Delivery()
    delivery.error = DeliveryUnavailableError("Temporal is out of reach")
    deliverers = Deliverers(delivery, rest_seconds=3600)
    for number in range(500):
        deliverers.wake(f"order-{number}")
    await asyncio.sleep(0)
    delivery.go_on.set()
    await _until_idle(delivery, told=4)
    told = len(delivery.told)
    assert told < 8
    for number in range(500):
        deliverers.wake(f"order-{number}")
    await asyncio.sleep(0)
    assert len(delivery.told) == told
    await deliverers.close()


async def test_an_order_that_temporal_does_not_answer_for_keeps_no_other_waiting() -> None:
    told: list[str] = []

    async def deliver(order_id: str) -> int:
        told.append(order_id)
        if order_id.startswith("stuck"):
            raise DeliveryUnavailableError("Temporal is out of reach: it is busy")
        return 1

    deliverers = Deliverers(deliver, rest_seconds=3600)
    orders = [f"{kind}-{number}" for number in range(10) for kind in ("stuck", "well")]
    for order_id in orders:
        deliverers.wake(order_id)
    await asyncio.sleep(0)
    assert told == orders
    await deliverers.close()


async def test_once_temporal_is_back_orders_are_told_again() -> None:
    delivery = Delivery()
    delivery.error = DeliveryUnavailableError("Temporal is out of reach")
    delivery.go_on.set()
    deliverers = Deliverers(delivery, rest_seconds=0)
    deliverers.wake("order-in-the-outage")
    await _until_idle(delivery, told=1)
    delivery.error = None
    deliverers.wake("order-after-the-outage")
    await _until_idle(delivery, told=2)
    assert delivery.told == ["order-in-the-outage", "order-after-the-outage"]
    await deliverers.close()


async def test_one_that_fails_keeps_no_other_waiting() -> None:
    delivery = Delivery()
    delivery.error = KeyError("a defect")
    delivery.go_on.set()
    deliverers = Deliverers(delivery)
    for number in range(20):
        deliverers.wake(f"order-{number}")
    await _until_idle(delivery, told=20)
    assert len(delivery.told) == 20
    await deliverers.close()


async def test_the_end_of_the_api_waits_for_no_delivery() -> None:
    delivery = Delivery()
    deliverers = Deliverers(delivery)
    for number in range(20):
        deliverers.wake(f"order-{number}")
    await asyncio.sleep(0)
    await deliverers.close()
    assert delivery.at_once == 0
    assert len(delivery.told) == 4
