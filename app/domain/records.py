"""What we ask of the place where records are kept."""

from collections.abc import Sequence
from typing import Protocol

from app.domain.facts import Fact
from app.domain.gateway import GatewayEvent
from app.domain.order import Order
from app.domain.payment import Payment


class RecordsUnavailableError(Exception):
    """The records cannot be reached or cannot take more. Nothing was written; try again."""


class Records(Protocol):
    """Orders, facts and the callback inbox. The only writer of all three."""

    async def open_order(self, order: Order) -> tuple[Order, Payment]:
        """Write `order` unless it is there; the order as first written, and its payment."""

    async def find_order(self, order_id: str) -> Order | None:
        """The order, or None."""

    async def find_payment(self, order_id: str) -> Payment | None:
        """The payment as the facts so far tell it, or None."""

    async def facts(self, order_id: str) -> list[Fact]:
        """All that happened, oldest first."""

    async def append(self, order_id: str, facts: Sequence[Fact]) -> Payment:
        """Keep what is new among `facts` and bring the payment up to date, both or neither."""

    async def store_callback(self, event: GatewayEvent) -> bool:
        """Put a callback into the inbox for good. False if it was there already."""

    async def waiting_callbacks(self, limit: int) -> list[GatewayEvent]:
        """Callbacks not yet delivered, in the order in which the gateway created them."""

    async def callback_delivered(self, event: GatewayEvent, outcome: str) -> None:
        """Note what became of a callback."""
