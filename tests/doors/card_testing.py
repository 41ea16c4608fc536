"""A bot that tests stolen cards, and shoppers who buy, at the running API.

python -m tests.doors.card_testing --cards 10000 --shoppers 1000   on a stack of its own

One card of the bot's in twenty is good; each try has an order of its own. One shopper in five comes
from one office, the others each from an address of their own. Of ten shoppers two have a card
declined before they pay with another, one has two declined, and one sends everything twice. A card
of the bot's got to the gateway if there is an order: that is written when the gateway has made a
token of the card.
"""

import argparse
import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from app.config import Settings
from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.domain.api_keys import Scope
from app.embedded.ports import Ports
from app.embedded.stack import Stack
from tests.walk.cards import check_digit
from tests.walk.running import INITIATE, Running, card, request

MOST = 50  # cards of a bot's that may get to the gateway
DEFAULTS = {
    name.upper(): str(Settings.model_fields[name].default)
    for name in (
        "declines_per_key",
        "declines_per_address",
        "declines_per_order",
        "declines_per_card",
    )
}
_AT_ONCE = 16
_OFFICE = "198.51.100.1"
_BOT = "203.0.113.66"


@dataclass
class Figures:
    """What became of one scene."""

    scene: str
    cards: int = 0
    at_the_gateway: int = 0
    unavailable: int = 0
    shoppers: int = 0
    paid: int = 0
    blocked: int = 0

    @property
    def good(self) -> bool:
        """The bot got nowhere, and nobody else noticed."""
        return self.at_the_gateway <= MOST and self.blocked == 0 and self.paid == self.shoppers

    def __str__(self) -> str:
        return (
            f"{self.scene}: bot: {self.at_the_gateway} of {self.cards} cards got to the gateway"
            f"{f', {self.unavailable} answered 503' if self.unavailable else ''}; "
            f"shoppers: {self.paid} of {self.shoppers} paid, {self.blocked} blocked"
        )


class Scene:
    """Who comes to one shop, with an API key of its own."""

    def __init__(self, name: str, running: Running, http: httpx.AsyncClient) -> None:
        self.figures = Figures(name)
        self._running = running
        self.http = http
        self._numbers = _numbers()

    async def bot(self, cards: int, *, of_many_addresses: bool) -> None:
        """Try so many cards."""
        bot = f"bot-{secrets.token_hex(4)}"

        async def one(number: int) -> None:
            good = number % 20 == 19
            address = _address(number) if of_many_addresses else _BOT
            status = await self._ask(_order(bot), good, address)
            self.figures.cards += 1
            self.figures.unavailable += status == 503

        await _in_turn(cards, one)
        [(tried,)] = await self._running.query(
            "SELECT count(*) FROM orders WHERE order_id LIKE %s", f"{bot}%"
        )
        assert isinstance(tried, int)
        self.figures.at_the_gateway += tried

    async def crowd(self, shoppers: int) -> None:
        """So many buy."""

        async def one(number: int) -> None:
            order_id = _order("shopper")
            # Whole tens, or those of the office would be those whose cards are declined.
            address = _OFFICE if number // 10 % 5 == 0 else _address(number)
            declined = (0, 0, 0, 1, 0, 2, 0, 0, 1, 0)[number % 10]
            cards = [False] * declined + [True]
            bodies = [_body(order_id, self.number(good), address) for good in cards]
            times = 2 if number % 10 == 7 else 1
            statuses = [await self._send(body) for body in bodies for _ in range(times)]
            self.figures.shoppers += 1
            self.figures.paid += statuses[-1] == 200
            self.figures.blocked += 429 in statuses

        await _in_turn(shoppers, one)

    def number(self, good: bool) -> str:
        """Of another card each time, good or declined."""
        digits = ("41104321" if good else "40000099") + f"{next(self._numbers):07}"
        return digits + check_digit(digits)

    async def _ask(self, order_id: str, good: bool, address: str) -> int:
        return await self._send(_body(order_id, self.number(good), address))

    async def _send(self, body: dict[str, object]) -> int:
        return (await self.http.post(INITIATE, json=body)).status_code


def _body(order_id: str, number: str, address: str) -> dict[str, object]:
    return request(order_id, credit_card=card(number), customer_ip_address=address)


def _order(who: str) -> str:
    return f"{who}-{secrets.token_hex(8)}"


def _address(number: int) -> str:
    return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::7"


def _numbers() -> Iterator[int]:
    """From anywhere, so that two scenes do not share a card."""
    number = secrets.randbelow(10**7)
    while True:
        yield number
        number = (number + 1) % 10**7


async def _in_turn(count: int, one: Callable[[int], Awaitable[None]]) -> None:
    """`one` with each number, some at once."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))


@asynccontextmanager
async def scene(name: str, running: Running, api: httpx.AsyncClient) -> AsyncIterator[Scene]:
    """At `api`, which has the limits of production."""
    engine = create_engine(running.stack.postgres.url)
    client = f"shop-{secrets.token_hex(4)}"
    key = await ApiKeys(engine, embedded=True).create(
        client, frozenset({Scope.PAYMENTS_WRITE}), None
    )
    await engine.dispose()
    async with httpx.AsyncClient(
        base_url=api.base_url,
        headers={"Authorization": f"Bearer {key.text()}"},
        trust_env=False,
        timeout=60,
    ) as http:
        yield Scene(name, running, http)


async def play(
    running: Running, api: httpx.AsyncClient, cards: int, shoppers: int
) -> AsyncIterator[Figures]:
    """Each scene, one after the other."""
    async with scene("a bot of one address", running, api) as shop:
        await shop.bot(cards, of_many_addresses=False)
        yield shop.figures
    async with scene("a bot of many addresses", running, api) as shop:
        await shop.bot(cards, of_many_addresses=True)
        yield shop.figures
    async with scene("shoppers", running, api) as shop:
        await shop.crowd(shoppers)
        yield shop.figures
    async with scene("a bot of one address beside shoppers", running, api) as shop:
        await asyncio.gather(shop.bot(cards, of_many_addresses=False), shop.crowd(shoppers))
        yield shop.figures


async def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--cards", type=int, default=10_000)
    options.add_argument("--shoppers", type=int, default=1_000)
    asked = options.parse_args()
    good = True
    with TemporaryDirectory(prefix="tillflow-testers-") as folder:
        async with Stack(Path(folder), Ports.free(), print) as stack:
            await stack.start()
            running = Running(stack)
            async with running.another_api(**DEFAULTS) as api:
                async for figures in play(running, api, asked.cards, asked.shoppers):
                    print(figures, flush=True)
                    good = good and figures.good
            await running.close()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
