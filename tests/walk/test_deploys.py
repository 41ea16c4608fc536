"""A new version is rolled out: the old processes finish what they have begun, and end."""

import asyncio

from tests.walk.running import Running, by_token, new_order

# What a deployment waits for before it kills; see docs/deploy.md.
DRAIN_SECONDS = 25


async def test_told_to_end_in_the_middle_of_an_authorization_both_finish_it_and_end(
    running: Running,
) -> None:
    order_id = new_order("deployed")
    await running.control(
        "faults", method="POST", path="/v1/payment_intents", action="hang", seconds=3
    )
    asking = asyncio.create_task(running.initiate(by_token(order_id)))
    await running.until_hit()

    supervisor = running.stack.supervisor
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            codes = await asyncio.gather(supervisor.end("api"), supervisor.end("worker"))
        answer = await asking
    finally:
        await running.revive("api", "worker")

    assert [*codes] == [0, 0]
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "authorized"
    await running.until(order_id)
    await running.charged_once(order_id)
