"""What the gateway really did: its own ledger, and what it has told."""

from dataclasses import dataclass

import httpx

_PATIENCE_SECONDS = 60.0
# What tells of money. Every other event repeats one of these.
_NEWS = ("payment_intent.", "refund.", "charge.dispute.")
_NO_NEWS = frozenset({"payment_intent.created"})


@dataclass(frozen=True)
class Charge:
    """One payment at the gateway. Amounts are sums in the gateway's minor units of `currency`."""

    transaction_id: str
    order_id: str | None
    currency: str
    authorized: int
    captured: int
    released: int
    refunded: int
    disputed: int

    @property
    def held(self) -> int:
        """What is held now."""
        return self.authorized - self.captured - self.released

    @property
    def net(self) -> int:
        """What was taken and is still there."""
        return self.captured - self.refunded - self.disputed


@dataclass(frozen=True)
class Told:
    """An event that was answered 2xx. `status` is what `about` was when it was written."""

    event_id: str
    type: str
    about: str
    status: str | None
    transaction_id: str
    order_id: str


@dataclass(frozen=True)
class Gateway:
    """`charges` by the order that they name, "" where they name none. `captures` says how often
    money was taken for an order. `told` is the news of money of orders, `events` all that it ever
    wanted to tell."""

    charges: dict[str, list[Charge]]
    captures: dict[str, int]
    told: list[Told]
    events: frozenset[str]

    def of(self, order_id: str) -> list[Charge]:
        """An order's payments there."""
        return self.charges.get(order_id, [])


async def read_gateway(url: str) -> Gateway:
    """Ask the sandbox's control API. Raises httpx.HTTPError where it does not answer."""
    # trust_env=False: a proxy set for the outside world is not for 127.0.0.1.
    async with httpx.AsyncClient(
        base_url=url, trust_env=False, timeout=_PATIENCE_SECONDS
    ) as sandbox:
        ledger = (await sandbox.get("/control/ledger")).raise_for_status().json()
        listed = await sandbox.get("/control/deliveries/list")
        deliveries = listed.raise_for_status().json()["deliveries"]
    charges: dict[str, list[Charge]] = {}
    for intent in ledger["payment_intents"]:
        charge = Charge(
            intent["id"],
            intent["order_id"],
            intent["currency"],
            intent["authorized"],
            intent["captured"],
            intent["released"],
            intent["refunded"],
            intent["disputed"],
        )
        charges.setdefault(charge.order_id or "", []).append(charge)
    return Gateway(
        charges,
        {order_id: tally["captures"] for order_id, tally in ledger["orders"].items()},
        [
            Told(
                each["event"],
                each["type"],
                each["object"],
                each["status"],
                each["payment_intent"],
                each["order_id"],
            )
            for each in deliveries
            if each["state"] == "delivered"
            and each["order_id"] is not None
            and each["type"].startswith(_NEWS)
            and each["type"] not in _NO_NEWS
        ],
        frozenset(each["event"] for each in deliveries),
    )
