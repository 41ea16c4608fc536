"""A bot that tests stolen cards, and shoppers who buy, at the running API.

python -m tests.doors.card_testing --cards 10000 --shoppers 1000   on a stack of its own

One card of the bot's in twenty is good; each try has an order of its own. One shopper in five comes
from one office, the others each from an address of their own. Of ten shoppers two have a card
declined before they pay with another, one has two declined, and one sends everything twice. Where
banks want all shoppers to authenticate, one of ten does so only with their second order. A card of
the bot's got to the gateway if there is an order: that is written when the gateway has made a token
of the card.

The last line is the verdict on the scenes in which the limits promise something, and what came of
those in which they do not. The exit code is that of the promises.
"""

import argparse
import asyncio
import secrets
import sys
import time
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
from tests.walk.running import INITIATE, RETURN_URL, Running, card, request

MOST = 50  # cards of a bot's that may get to the gateway
GOOD, DECLINED, CHALLENGED = "41104321", "40000099", "40000032"
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
_PATIENCE_SECONDS = 120
_RUSH = 100  # who come to a shop that has sold nothing, in one moment


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

    @property
    def bound(self) -> int:
        """How far a bot may get where nothing tells it from the shoppers, by what was sold."""
        return MOST + self.paid

    def __str__(self) -> str:
        return (
            f"{self.scene}: bot: {self.at_the_gateway} of {self.cards} cards got to the gateway; "
            f"shoppers: {self.paid} of {self.shoppers} paid, {self.blocked} blocked"
            f"{f'; {self.unavailable} answers of 503' if self.unavailable else ''}"
        )


class Scene:
    """Who comes to one shop, with an API key of its own."""

    def __init__(self, name: str, running: Running, http: httpx.AsyncClient) -> None:
        self.figures = Figures(name)
        self._running = running
        self.http = http
        self._numbers = _numbers()

    async def bot(self, cards: int, address: "Address") -> None:
        """Try so many cards."""

        async def one(name: str, number: int) -> None:
            card = self.number(good=number % 20 == 19)
            answer = await self._send(_body(name, card, address(number)))
            self.figures.unavailable += answer.status_code == 503

        await self._tried(cards, one)

    async def bot_with_challenged_cards(self, cards: int, address: "Address") -> None:
        """The same, of cards whose banks want the shopper to authenticate: the bot fails at that,
        or does not try."""

        async def one(name: str, number: int) -> None:
            card = self._next(CHALLENGED)
            answer = await self._send(_body(name, card, address(number)))
            if answer.status_code == 200 and number % 2:
                await self._running.shopper_answers(answer.json(), "cancel")

        await self._tried(cards, one)

    async def _tried(self, cards: int, one: Callable[[str, int], Awaitable[None]]) -> None:
        bot = f"bot-{secrets.token_hex(4)}"
        await _in_turn(cards, lambda number: one(_order(bot), number))
        self.figures.cards += cards
        [(tried,)] = await self._running.query(
            "SELECT count(*) FROM orders WHERE order_id LIKE %s", f"{bot}%"
        )
        assert isinstance(tried, int)
        self.figures.at_the_gateway += tried

    async def crowd(
        self, shoppers: int, address: "Address | None" = None, at_once: int = _AT_ONCE
    ) -> None:
        """So many buy."""

        async def one(number: int) -> None:
            order_id = _order("shopper")
            declined = (0, 0, 0, 1, 0, 2, 0, 0, 1, 0)[number % 10]
            cards = [False] * declined + [True]
            site = (address or _homes_and_office)(number)
            bodies = [_body(order_id, self.number(good), site) for good in cards]
            times = 2 if number % 10 == 7 else 1
            answers = [await self._told(body) for body in bodies for _ in range(times)]
            statuses = [answer.status_code for answer in answers]
            self.figures.shoppers += 1
            self.figures.paid += statuses[-1] == 200
            self.figures.blocked += 429 in statuses

        await _in_turn(shoppers, one, at_once)

    async def crowd_that_authenticates(self, shoppers: int) -> None:
        """So many buy, with cards whose banks want them to authenticate."""

        async def one(number: int) -> None:
            self.figures.shoppers += 1
            for approves in (False, True) if number % 10 == 5 else (True,):
                order_id = _order("shopper")
                body = _body(order_id, self._next(CHALLENGED), _homes_and_office(number))
                answer = await self._told(body)
                if answer.status_code != 200:
                    self.figures.blocked += answer.status_code == 429
                    return
                if approves:
                    await self._running.shopper_answers(answer.json())
                    await self._running.until(order_id, status="captured")
                    self.figures.paid += 1

        await _in_turn(shoppers, one)

    def number(self, good: bool) -> str:
        """Of another card each time, good or declined."""
        return self._next(GOOD if good else DECLINED)

    def _next(self, begin: str) -> str:
        digits = begin + f"{next(self._numbers):07}"
        return digits + check_digit(digits)

    async def _told(self, body: dict[str, object]) -> httpx.Response:
        """What became of it: who is told to ask again does so when they are told to, for a while
        that is ample on a busy machine. An answer that no shopper should get is shown."""
        key = secrets.token_hex(8)
        gives_up_at = time.monotonic() + _PATIENCE_SECONDS
        while (answer := await self._send(body, key)).status_code in (202, 503):
            self.figures.unavailable += answer.status_code == 503
            if time.monotonic() > gives_up_at:
                break
            # 202 names no time: it is the payment itself that is looked at again.
            await asyncio.sleep(float(answer.headers.get("Retry-After", "0.2")))
        if answer.status_code not in (200, 429) and "/problems/payment-declined" not in answer.text:
            print(f"  a shopper's answer: {answer.status_code} {answer.text}", flush=True)
        return answer

    async def _send(self, body: dict[str, object], key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key is not None else {}
        return await self.http.post(INITIATE, json=body, headers=headers)


Address = Callable[[int], str | None]
"""From where the one of that number comes, as far as the storefront tells it."""


def of_one_address() -> Address:
    """As a bot on one machine; each time another, since one address is counted at all shops."""
    address = f"2001:db8:ffff:{secrets.randbits(16):x}::7"
    return lambda _number: address


def of_many_addresses(number: int) -> str:
    """Each from another."""
    return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::7"


def of_no_address(_number: int) -> None:
    """As a storefront has it that tells of no addresses."""


def _homes_and_office(number: int) -> str:
    # Others of each ten, or those of the office would be those whose cards are declined.
    in_office = (number + number // 10) % 5 == 0
    return "198.51.100.1" if in_office else of_many_addresses(number)


def _body(order_id: str, number: str, address: str | None) -> dict[str, object]:
    told = {"customer_ip_address": address} if address is not None else {}
    return request(order_id, credit_card=card(number), return_url=RETURN_URL, **told)


def _order(who: str) -> str:
    return f"{who}-{secrets.token_hex(8)}"


def _numbers() -> Iterator[int]:
    """From anywhere, so that two scenes do not share a card."""
    number = secrets.randbelow(10**7)
    while True:
        yield number
        number = (number + 1) % 10**7


async def _in_turn(
    count: int, one: Callable[[int], Awaitable[None]], at_once: int = _AT_ONCE
) -> None:
    """`one` with each number, some at once."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(some() for _ in range(at_once)))


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
    """Each scene in which the limits promise something, one after the other."""
    async with scene("a bot of one address", running, api) as shop:
        await shop.bot(cards, of_one_address())
        yield shop.figures
    async with scene("a bot of many addresses", running, api) as shop:
        await shop.bot(cards, of_many_addresses)
        yield shop.figures
    async with scene("a bot of many addresses, all cards challenged", running, api) as shop:
        await shop.bot_with_challenged_cards(cards, of_many_addresses)
        yield shop.figures
    async with scene("shoppers", running, api) as shop:
        await shop.crowd(shoppers)
        yield shop.figures
    async with scene("shoppers, all cards challenged", running, api) as shop:
        await shop.crowd_that_authenticates(shoppers)
        yield shop.figures
    async with scene("a bot of one address beside shoppers", running, api) as shop:
        await asyncio.gather(shop.bot(cards, of_one_address()), shop.crowd(shoppers))
        yield shop.figures


async def play_unpromised(
    running: Running, api: httpx.AsyncClient, cards: int, shoppers: int
) -> AsyncIterator[Figures]:
    """Each scene in which nothing tells the bot from the shoppers, or a new shop's shoppers from a
    bot: docs/deploy.md says what holds then."""
    async with scene("a bot of many addresses beside shoppers", running, api) as shop:
        await asyncio.gather(shop.bot(cards, of_many_addresses), shop.crowd(shoppers))
        yield shop.figures
    async with scene("a bot beside shoppers, no address told", running, api) as shop:
        await asyncio.gather(
            shop.bot(cards, of_no_address), shop.crowd(shoppers, address=of_no_address)
        )
        yield shop.figures
    async with scene(f"{_RUSH} shoppers at once, nothing sold yet", running, api) as shop:
        await shop.crowd(_RUSH, at_once=_RUSH)
        yield shop.figures


def verdict(promised: list[Figures], others: list[Figures]) -> str:
    """In one line."""
    kept = sum(figures.good for figures in promised)
    most = max((figures.at_the_gateway for figures in promised), default=0)
    beyond = "; ".join(
        f"{figures.scene}: {figures.at_the_gateway} cards of at most {figures.bound} by what was "
        f"sold, {figures.blocked} of {figures.shoppers} blocked"
        for figures in others
        if not figures.good
    )
    return (
        f"testers: promise kept in {kept} of {len(promised)} scenes, at most {most} cards in one; "
        f"not promised, and not so in {sum(not figures.good for figures in others)} of "
        f"{len(others)}: {beyond or 'none'}"
    )


async def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--cards", type=int, default=10_000)
    options.add_argument("--shoppers", type=int, default=1_000)
    asked = options.parse_args()
    figures: tuple[list[Figures], list[Figures]] = ([], [])
    with TemporaryDirectory(prefix="tillflow-testers-") as folder:
        async with Stack(Path(folder), Ports.free(), print) as stack:
            await stack.start()
            running = Running(stack)
            async with running.another_api(**DEFAULTS) as api:
                for known, scenes in zip(figures, (play, play_unpromised), strict=True):
                    async for each in scenes(running, api, asked.cards, asked.shoppers):
                        print(each, flush=True)
                        known.append(each)
            await running.close()
    promised, others = figures
    print(verdict(promised, others))
    kept = all(each.good for each in promised) and all(
        each.at_the_gateway <= each.bound for each in others
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
