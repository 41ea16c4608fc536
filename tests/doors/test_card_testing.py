"""A bot with stolen cards gets nowhere, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.doors.card_testing import DEFAULTS, Figures, Scene, of_many_addresses, play, scene
from tests.walk.running import INITIATE, Running, by_token, card, eventually, new_order, request

SHOP, ADDRESS = 20, 5


@pytest.fixture(scope="module")
async def limited(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """An API with limits, lower than production's; the one that the other tests share has none."""
    lower = {"DECLINES_PER_KEY": f"{SHOP}/day", "DECLINES_PER_ADDRESS": f"{ADDRESS}/day"}
    async with running.another_api(**{**DEFAULTS, **lower}) as api:
        yield api


async def test_a_bot_gets_nowhere_and_shoppers_pay(
    running: Running, limited: httpx.AsyncClient
) -> None:
    """The short form of `make testers`."""
    figures: list[Figures] = [each async for each in play(running, limited, 30, 10)]
    for each in figures:
        assert each.good, str(each)
    one_address, many_addresses, challenged, shoppers, authenticating, both = figures
    assert one_address.at_the_gateway <= ADDRESS + 2
    assert ADDRESS + 2 < many_addresses.at_the_gateway <= SHOP + 3
    assert challenged.at_the_gateway == SHOP
    assert shoppers.paid == authenticating.paid == both.paid == 10
    assert 0 < both.at_the_gateway <= ADDRESS + 2


@pytest.fixture
async def shop(running: Running, limited: httpx.AsyncClient) -> AsyncIterator[Scene]:
    """A shop of which nothing was counted yet."""
    async with scene("a shop", running, limited) as shop:
        yield shop


async def test_every_limit_gives_the_same_answer_and_reaches_nobody(
    running: Running, shop: Scene
) -> None:
    same_card = {"credit_card": card(shop.number(good=False))}
    first, second = new_order("card"), new_order("card")
    for order_id in (first, second, first, second, first):
        answer = await shop.http.post(INITIATE, json=request(order_id, **same_card))
        assert answer.status_code == 400
    address = {"customer_ip_address": "2001:db8:9::1"}
    for _ in range(ADDRESS):
        another = card(shop.number(good=False))
        body = request(new_order("address"), credit_card=another, **address)
        assert (await shop.http.post(INITIATE, json=body)).status_code == 400

    good = card(shop.number(good=True))
    wanted = [
        request(new_order("limited"), **same_card),
        request(new_order("limited"), credit_card=good, **address),
        by_token(new_order("limited"), customer_ip_address="2001:db8:9::2"),  # a neighbour
    ]
    answers = [await shop.http.post(INITIATE, json=body) for body in wanted]
    for body, answer in zip(wanted, answers, strict=True):
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "60"
        assert answer.json()["type"] == "/problems/too-many-requests"
        assert answer.content == answers[0].content
        told = {name: value for name, value in answer.headers.items() if name != "date"}
        assert told == {name: answers[0].headers[name] for name in told}
        order_id = str(body["order_id"])
        assert (await running.shop.get(f"/api/payment/{order_id}")).status_code == 404
        assert (await running.ledger(order_id))["payment_intents"] == []

    # As the API's description has it.
    described = (await running.description())["paths"][INITIATE]["post"]["responses"]["429"]
    [(media_type, content)] = described["content"].items()
    assert answers[0].headers["content-type"] == media_type
    assert answers[0].json() == content["examples"]["too-many-requests"]["value"]

    # Neither does a further try on an order that is there.
    answer = await shop.http.post(INITIATE, json=request(second, **same_card))
    assert (answer.status_code, answer.content) == (429, answers[0].content)
    assert len((await running.read(second))["attempts"]) == 2

    elsewhere = request(new_order("elsewhere"), credit_card=good, customer_ip_address="192.0.2.1")
    assert (await shop.http.post(INITIATE, json=elsewhere)).status_code == 200


async def test_repeating_a_request_is_no_further_attempt(running: Running, shop: Scene) -> None:
    order_id = new_order("repeated")
    body = request(order_id, credit_card=card(shop.number(good=True)))
    key = {"Idempotency-Key": "one"}
    for number in range(30):
        moved = {**body, "customer_ip_address": f"192.0.2.{number}"}  # a shopper on the way
        answer = await shop.http.post(INITIATE, json=moved, headers=key)
        assert answer.status_code == 200
    await running.charged_once(order_id)


async def test_identical_requests_at_once_earn_what_one_earns(
    running: Running, shop: Scene
) -> None:
    counts = "SELECT name, current FROM attempt_counts"
    before = dict(await running.query(counts))
    body = request(new_order("five"), credit_card=card(shop.number(good=True)))
    answers = await asyncio.gather(*(shop.http.post(INITIATE, json=body) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    added: dict[str, int] = {}

    async def counted() -> bool:
        nonlocal added
        added = {name: n for name, n in await running.query(counts) if name not in before}
        waiting = await running.query(
            "SELECT 1 FROM unsettled_attempts WHERE order_id = %s", body["order_id"]
        )
        return not waiting and min(added.values()) < 0

    await eventually(counted)
    assert {name.partition(":")[0]: n for name, n in added.items()} == {
        "order": -1,
        "card": -1,
        "key": -1,
    }


async def test_an_outage_of_the_gateway_is_held_against_nobody(
    running: Running, shop: Scene
) -> None:
    async with running.without("sandbox"):
        await shop.bot(40, of_many_addresses)
    assert shop.figures.unavailable == 40
    await shop.crowd(5)
    assert shop.figures.paid == 5
