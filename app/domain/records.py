"""What we ask of the place where records are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.facts import Fact
from app.domain.gateway import GatewayEvent, GatewayMovement
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Mandate, Order
from app.domain.payment import OrderState, Payment, State
from app.domain.unknown import UnknownOutcome


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
    unknown: bool | None = None


@dataclass(frozen=True)
class Place:
    """A place in a list of payments, which is ordered by both."""

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
    next_check_at: datetime | None = None  # of what is not known


@dataclass(frozen=True)
class TakenCallback:
    """What the inbox made of a callback. `order_id` is the order that it is about, None where it is
    about none of ours; `new` says that it was not there yet."""

    order_id: str | None
    new: bool


@dataclass(frozen=True)
class ForeignCallback:
    """A signed callback about no order of ours."""

    event: GatewayEvent
    received_at: datetime


@dataclass(frozen=True)
class WaitingCallback:
    """A callback that is not delivered yet; with how often it was refused, why it was the last
    time, and when it is tried again."""

    event_id: str
    type: str
    order_id: str
    received_at: datetime
    failures: int
    last_error: str | None
    next_try_at: datetime | None


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

    async def keep_account_movements(self, movements: Sequence[GatewayMovement]) -> None:
        """Enter what movements post to no order in the ledger, unless it is there. The ledger's
        other entries come with their facts."""

    async def note_unknown(self, order_id: str, outcome: UnknownOutcome) -> None:
        """Keep what is not known, and when it is checked next; or that it is known by now."""

    async def unknown_outcomes(self, order_id: str) -> list[UnknownOutcome]:
        """What is not known of the order, the oldest first."""

    async def accept_mandate(self, order_id: str, mandate: Mandate) -> None:
        """Keep from where the shopper allowed the latest attempt's debit."""

    async def find_customer(self, customer_id: str) -> str | None:
        """The gateway's id of a customer, or None."""

    async def keep_customer(self, customer_id: str, gateway_id: str) -> str:
        """Keep the gateway's id of a customer, unless one is kept; the one that is."""

    async def take_callback(self, event: GatewayEvent) -> TakenCallback:
        """Put a callback about an order of ours into the inbox for good, unless it is there. What
        only names a gateway's payment belongs to the order that the payment was made for."""

    async def keep_foreign_callback(self, event: GatewayEvent) -> bool:
        """Keep a callback about no order of ours, for the operator: it waits for nothing. False if
        it was there already."""

    async def foreign_callbacks(self, limit: int) -> list[ForeignCallback]:
        """The latest foreign callbacks, the newest first."""

    async def orders_called_back(self, after: str, limit: int) -> list[str]:
        """Orders that callbacks are to be delivered to now, from behind `after` on, by id."""

    async def callbacks_to_deliver(self, order_id: str, limit: int) -> list[GatewayEvent]:
        """The order's callbacks that are to be delivered now, in the order in which the gateway
        created them."""

    async def waiting_callbacks(self, limit: int) -> list[WaitingCallback]:
        """Callbacks not yet delivered, for the operator: the most often refused first, then the
        oldest."""

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        """Note what became of a callback."""

    async def callback_refused(self, event: GatewayEvent, error: str) -> None:
        """Note why a callback could not be delivered; it is tried again after a growing pause."""

    async def erase_personal_data(
        self, before: datetime, after: Place | None, limit: int
    ) -> list[Place]:
        """Erase who the shopper is from at most `limit` orders that are over, and have had no news
        since `before`: the oldest first, from behind `after` on. The places of those orders."""

    async def stranded_orders(self, before: datetime, after: str, limit: int) -> list[Order]:
        """Open orders of before that time without a single attempt, from behind `after` on, by
        id."""
