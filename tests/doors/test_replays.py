"""A callback that is sent again while its signature is fresh has no second effect."""

import asyncio
import json

from tests.walk.running import CALLBACK, Json, Running, by_token, new_order

TIMES = 8


async def _events(running: Running, order_id: str) -> list[Json]:
    """What the gateway has reported of the order, whether it was delivered or not."""
    listed = await running.at_the_gateway("GET", "/v1/events", limit=100)
    return [
        event
        for event in listed["data"]
        if event["data"]["object"].get("metadata", {}).get("order_id") == order_id
    ]


async def _replay(running: Running, events: list[Json]) -> None:
    """Each of them many times at once, signed as Stripe signed it."""
    answers = await asyncio.gather(
        *(running.stripe_event(event) for event in events for _ in range(TIMES))
    )
    assert {answer.status_code for answer in answers} == {200}


async def test_replays_of_stripes_events_pay_and_ship_once(running: Running) -> None:
    order_id = new_order("replayed")
    bought: Json = {"metadata": {"sku": "sample-mug"}, "customer_email": "shopper@example.com"}
    async with running.deliveries_held():
        shelf = await running.on_the_shelf()
        await running.taken_on(by_token(order_id, **bought))
        await _replay(running, await _events(running, order_id))
        order = await running.until(order_id)
    await _replay(running, await _events(running, order_id))
    await running.callbacks_delivered(order_id)
    await running.at_rest(order_id)

    names = [name for name, *_ in await running.inbox(order_id)]
    assert len(names) == len(set(names)) >= 2
    assert (await running.read(order_id))["timeline"] == order["timeline"]
    await running.charged_once(order_id)
    assert await running.on_the_shelf() == shelf - 1
    assert len(running.mails(order_id)) == 1


async def test_replays_of_a_generic_callback_are_one(running: Running) -> None:
    order_id = await running.paid("replayed")
    before = len(await running.inbox(order_id))
    body = {"order_id": order_id, "status": "success"}
    content, headers = running.signed(json.dumps(body).encode())
    answers = await asyncio.gather(
        *(running.shop.post(CALLBACK, content=content, headers=headers) for _ in range(TIMES))
    )
    assert {answer.status_code for answer in answers} == {200}
    await running.callbacks_delivered(order_id)
    assert len(await running.inbox(order_id)) == before + 1
    await running.charged_once(order_id)
