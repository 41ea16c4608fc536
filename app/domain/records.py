"""What we ask of the place where records are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.facts import Fact
from app.domain.gateway import GatewayEvent
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Mandate, Order
from app.domain.payment import OrderState, Payment, State


class RecordsUnavailableError(Exception):
    """The records cannot be reached or cannot take more. Nothing was written; try again."""


class RefundRefusedError(Exception):
    """The refund was not noted: `refundable`, in minor units, is less than what was asked."""

    def __init__(self, refundable: int) -> None:
        super().__init__("more than can be given back")
        self.refundable = refundable


@dataclass(frozen=True)
class Filter:
    """Which payments to list. What is None does not matter; `until` is not included."""

    states: Sequence[State] = ()
    methods: Sequence[Method] = ()
    since: datetime | None = None
    until: datetime | None = None
    needs_attention: bool | None = None
    customer_id: str | None = None


@dataclass(frozen=True)
class Place:
    """A place in the list of payments, which is ordered by both: the newest first."""

    created_at: datetime
    order_id: str


@dataclass(frozen=True)
class Summary:
    """A payment as a line of a list. Amounts are minor units of `amount.currency`."""

    place: Place
    payment_id: str
    state: State
    order_state: OrderState
    amount: Money
    authorized: int
    captured: int
    refunded: int
    disputed: int
    method: Method | None
    method_shown: str | None
    needs_attention: bool


@dataclass(frozen=True)
class ForeignCallback:
    """A signed callback about no order of ours."""

    event: GatewayEvent
    received_at: datetime


class Records(Protocol):
    """Orders, facts, customers and the callback inbox. The only writer of them all."""

    async def open_order(self, order: Order) -> tuple[Order, Payment]:
        """Write `order` unless it is there; the order as first written, and its payment."""

    async def find_order(self, order_id: str) -> Order | None:
        """The order, or None."""

    async def find_payment(self, order_id: str) -> Payment | None:
        """The payment as the facts so far tell it, or None."""

    async def find_order_paid_by(self, transaction_id: str) -> str | None:
        """The order that a gateway's payment was made for, or None."""

    async def list_payments(self, wanted: Filter, after: Place | None, limit: int) -> list[Summary]:
        """At most `limit` payments, the newest first, from behind `after` on."""

    async def facts(self, order_id: str) -> list[Fact]:
        """All that happened, oldest first."""

    async def append(self, order_id: str, facts: Sequence[Fact]) -> Payment:
        """Keep what is new among `facts` and bring the payment up to date, both or neither."""

    async def open_refund(self, order_id: str, name: str, amount: int, reason: str | None) -> Fact:
        """Note that a refund of `amount` is wanted, unless it is noted already: from then on its
        money counts as gone. The fact as it stands. Raises RefundRefusedError where there is not so
        much to give back."""

    async def accept_mandate(self, order_id: str, mandate: Mandate) -> None:
        """Keep from where the shopper allowed the latest attempt's debit."""

    async def find_customer(self, customer_id: str) -> str | None:
        """The gateway's id of a customer, or None."""

    async def keep_customer(self, customer_id: str, gateway_id: str) -> str:
        """Keep the gateway's id of a customer, unless one is kept; the one that is."""

    async def store_callback(self, event: GatewayEvent, *, foreign: bool = False) -> bool:
        """Put a callback into the inbox for good. False if it was there already. A foreign one is
        about no order of ours: it is kept for the operator and waits for nothing."""

    async def foreign_callbacks(self, limit: int) -> list[ForeignCallback]:
        """The latest foreign callbacks, the newest first."""

    async def waiting_callbacks(self, limit: int) -> list[GatewayEvent]:
        """Callbacks not yet delivered, in the order in which the gateway created them."""

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        """Note what became of a callback."""
