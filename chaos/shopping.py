"""What shoppers and storefronts do about one order, whatever breaks meanwhile."""

import asyncio
from collections.abc import Callable

import httpx

from chaos.evidence import Kind
from chaos.plan import PlannedOrder, Story
from chaos.storefront import Json, Storefront, new_key

ARTICLE, SOLD_OUT_ARTICLE = "sample-mug", "sold-out"
CROWD = 50
PAUSE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 4.0
GOOD, DECLINED, ASKED = "pm_card_visa", "pm_card_chargeDeclined", "pm_card_authenticationRequired"
_UNSURE = ("initiated", "unknown")
_OVER = ("canceled", "gone")


class Shopping:
    """One order's story. `run` returns once the storefront has no more to do about it."""

    def __init__(
        self,
        order: PlannedOrder,
        shop: Storefront,
        bank: httpx.AsyncClient,
        placed: Callable[[], None],
    ) -> None:
        self._order = order
        self._shop = shop
        self._bank = bank
        self._placed = placed
        self._path = f"/api/payment/{order.order_id}"

    async def run(self) -> None:
        """Do all of it."""
        match self._order.story:
            case Story.CROWD:
                await self._crowd()
            case Story.DECLINED_FIRST:
                if "declined" in await self._pay(DECLINED):
                    await self._pay(GOOD)
            case Story.CHALLENGED:
                if await self._pay(ASKED) == "requires_action":
                    await self._approve()
            case Story.ABANDONED:
                await self._pay(ASKED)
            case Story.TAKEN_BY_HAND:
                await self._capture(self._order.amount.minor)
            case Story.TAKEN_IN_PART:
                await self._capture(self._part())
            case Story.CANCELED:
                await self._cancel()
            case Story.REFUNDED:
                await self._refund(self._order.amount.minor)
            case Story.REFUNDED_IN_PART:
                await self._refund(self._part())
            case Story.REFUNDED_TWICE:
                await self._refund(self._part(), self._order.amount.minor - self._part())
            case _:
                await self._pay(GOOD)

    async def _pay(self, token: str) -> str:
        """Ask for the money until the answer is sure: the payment's status, `closed` when the order
        is over. Where nothing was charged the same is asked again, for as long as the order is
        open."""
        key = new_key()
        while True:
            answer = await self._initiate(token, key)
            if answer.status_code == 409:
                return "closed"
            if answer.status_code == 400:
                kind = str(answer.json()["type"])
                if not kind.endswith("/payment-declined"):
                    self._shop.surprised(f"{self._order.order_id}: {answer.text}")
                return kind.rpartition("/")[2]
            if not answer.is_success:
                self._shop.surprised(f"{self._order.order_id}: {answer.text}")
                return "refused"
            if (told := answer.json())["status"] in _UNSURE:
                told = await self._until(lambda seen: seen["status"] not in _UNSURE)
            if told["order_status"] in _OVER:
                return "closed"
            if told["status"] != "failed":
                return str(told["status"])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _initiate(self, token: str, key: str) -> httpx.Response:
        order = self._order
        sold_out = order.story is Story.SOLD_OUT
        body: Json = {
            "order_id": order.order_id,
            "payment_method": "credit_card",
            "amount": f"{order.amount.to_decimal():f}",
            "currency": order.amount.currency,
            "payment_method_token": token,
            "return_url": "https://shop.example.com/back",
            "metadata": {"sku": SOLD_OUT_ARTICLE if sold_out else ARTICLE, "quantity": "1"},
        }
        if order.story in (Story.TAKEN_BY_HAND, Story.TAKEN_IN_PART, Story.CANCELED) or (
            order.story is Story.LEFT_HELD
        ):
            body["capture"] = "manual"
        if order.story is Story.MAILED:
            body["customer_email"] = "shopper@example.com"
        answer = await self._shop.ask(
            Kind.INITIATE, order, "/api/payment/initiate", body, order.amount.minor, key
        )
        self._placed()
        return answer

    async def _crowd(self) -> None:
        """Fifty times the same, at once: an impatient shopper and a storefront with no manners."""
        key = new_key()
        answers = await asyncio.gather(*(self._initiate(GOOD, key) for _ in range(CROWD)))
        told = {answer.json()["payment_id"] for answer in answers if answer.is_success}
        if len(told) > 1:
            self._shop.surprised(f"{self._order.order_id}: one request, several payments: {told}")

    async def _approve(self) -> None:
        told = await self._until(lambda seen: seen["status"] != "requires_action" or _page(seen))
        if page := _page(told):
            while True:
                try:
                    answer = await self._bank.post(page, data={"outcome": "approve"})
                except httpx.TransportError:
                    await asyncio.sleep(0.5)
                    continue
                if answer.status_code < 500:
                    return

    async def _capture(self, minor: int) -> None:
        if await self._pay(GOOD) == "authorized":
            body = {} if minor == self._order.amount.minor else {"amount": self._decimal(minor)}
            await self._ask(Kind.CAPTURE, "capture", body, minor)

    async def _cancel(self) -> None:
        if await self._pay(GOOD) == "authorized":
            await self._ask(Kind.CANCEL, "cancel", {"reason": "chaos"}, self._order.amount.minor)

    async def _refund(self, *parts: int) -> None:
        await self._pay(GOOD)
        told = await self._until(
            lambda seen: (
                seen["order_status"] in ("fulfilled", *_OVER) or seen["status"] in ("failed",)
            )
        )
        if told["order_status"] != "fulfilled":
            return
        for minor in parts:
            body = {} if minor == self._order.amount.minor else {"amount": self._decimal(minor)}
            await self._ask(Kind.REFUND, "refunds", body, minor)

    async def _ask(self, kind: Kind, what: str, body: Json, minor: int) -> None:
        answer = await self._shop.ask(
            kind, self._order, f"{self._path}/{what}", body, minor, new_key()
        )
        if not answer.is_success:
            self._shop.surprised(f"{self._order.order_id}: {what}: {answer.text}")

    async def _until(self, true: Callable[[Json], object]) -> Json:
        """Look at the order, at growing intervals, until it is so or the order is over."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            told = await self._shop.read(self._order.order_id)
            if true(told) or told["order_status"] in _OVER:
                return told
            await asyncio.sleep(pause)
            pause = min(pause * 1.6, LONGEST_PAUSE_SECONDS)

    def _part(self) -> int:
        """A part of the amount that every currency takes."""
        return self._order.amount.minor * 2 // 5 // 10 * 10

    def _decimal(self, minor: int) -> str:
        return f"{self._order.amount.of(minor).to_decimal():f}"


def _page(told: Json) -> str | None:
    action = told.get("next_action") or {}
    page: str | None = action.get("url")
    return page
