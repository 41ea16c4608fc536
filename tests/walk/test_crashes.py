"""kill -9, at every moment of a payment: it ends with one charge and a fulfilled order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.walk.running import Running, by_token, new_order, request

CREATE = "/v1/payment_intents"
CAPTURE = "/v1/payment_intents/.+/capture"
EVERYTHING = ("postgres", "temporal", "sandbox", "mail", "api", "worker")


@pytest.mark.parametrize("part", ["worker", "api", "temporal", "postgres", "sandbox"])
async def test_killed_at_any_moment_it_charges_once_and_fulfils(
    running: Running, part: str
) -> None:
    async with payments_at_every_moment(running) as orders:
        await running.kill(part)
        await running.revive(part)

    await all_fulfilled(running, orders)


async def test_everything_killed_at_once_goes_on_with_the_same_data(running: Running) -> None:
    async with payments_at_every_moment(running) as orders:
        await running.kill(*EVERYTHING)
        await running.revive(*EVERYTHING)

    await all_fulfilled(running, orders)


@asynccontextmanager
async def payments_at_every_moment(running: Running) -> AsyncIterator[dict[str, str]]:
    """Payments that wait for the gateway's first answer, for its callback, for its answer to the
    capture, and for a fulfilment step. On leaving, nothing holds them up any more."""
    orders = {
        moment: new_order(moment)
        for moment in ("authorizing", "confirming", "taking", "fulfilling")
    }
    async with running.deliveries_held():
        await running.kill("mail")
        fulfilling = request(orders["fulfilling"], customer_email="shopper@example.com")
        for body in (fulfilling, by_token(orders["confirming"]), by_token(orders["taking"])):
            assert (await running.initiate(body)).status_code == 200
        # The gateway is asked when somebody says that the order is paid, so these two go on.
        await running.hint(orders["fulfilling"])
        await running.until(orders["fulfilling"], order_status="paid")

        await running.control("faults", method="POST", path=CAPTURE, action="hang", seconds=5)
        await running.hint(orders["taking"])
        await running.until_hit()
        await running.control("faults", method="POST", path=CREATE, action="hang", seconds=5)
        waiting = asyncio.create_task(running.initiate(by_token(orders["authorizing"])))
        await running.until_hit()

        states = [(await running.read(order))["status"] for order in orders.values()]
        assert states == ["initiated", "authorized", "authorized", "captured"]
        yield orders
        with contextlib.suppress(httpx.TransportError):  # the API may have been killed
            answer = await waiting
            if answer.status_code == 503:  # the database was: again, as it says
                answer = await running.initiate(by_token(orders["authorizing"]))
            assert answer.status_code in (200, 202), answer.text
        await running.kill("mail")
        await running.revive("mail")


async def all_fulfilled(running: Running, orders: dict[str, str]) -> None:
    told = await asyncio.gather(*(running.until(order) for order in orders.values()))
    for order in told:
        assert (order["status"], order["captured"]) == ("captured", "49.99"), order
        assert (order["refunded"], order["needs_attention"]) == ("0.00", []), order
        await running.charged_once(order["order_id"])
    assert len(running.mails(orders["fulfilling"])) == 1
