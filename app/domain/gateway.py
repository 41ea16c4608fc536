"""What we ask of any gateway, what it answers, and how it fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.domain.facts import Decline, NextAction, PaymentMethod
from app.domain.money import Money


class Status(StrEnum):
    """What a gateway says of one payment, now."""

    NOTHING = "nothing"  # it knows the payment, but nothing was tried or decided
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    DECLINED = "declined"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"


@dataclass(frozen=True)
class Card:
    """A raw card. It lives in the API process's memory until the gateway's token exists, and
    nowhere else: not in a repr, a log line, a table or a workflow."""

    number: str = field(repr=False)
    expiry_month: int = field(repr=False)
    expiry_year: int = field(repr=False)
    security_code: str | None = field(repr=False)


@dataclass(frozen=True)
class Token:
    """The gateway's name for a payment method."""

    id: str
    method: PaymentMethod


@dataclass(frozen=True)
class AuthorizeRequest:
    """Hold `amount` on the payment method. `transaction_id` continues an earlier declined try."""

    order_id: str
    amount: Money
    token: str
    transaction_id: str | None = None
    return_url: str | None = None


@dataclass(frozen=True)
class GatewayPayment:
    """A payment as the gateway sees it. Amounts are totals in minor units of `amount.currency`."""

    transaction_id: str
    order_id: str | None
    status: Status
    amount: Money
    authorized: int = 0
    captured: int = 0
    method: PaymentMethod | None = None
    decline: Decline | None = None
    next_action: NextAction | None = None
    capture_before: datetime | None = None


@dataclass(frozen=True)
class Refund:
    """Money given back, or on its way."""

    refund_id: str
    amount: Money
    status: str  # pending | succeeded | failed


@dataclass(frozen=True)
class GatewayEvent:
    """A callback, verified and translated. Without a `payment` it is only a hint to look."""

    gateway: str
    event_id: str
    type: str
    order_id: str | None
    created_at: datetime
    payment: GatewayPayment | None = None


class GatewayError(Exception):
    """A gateway did not do what we asked. The text holds no card data."""


class RefusedError(GatewayError):
    """It understood and will not, however often we ask. Nothing was done."""

    def __init__(self, code: str, message: str, field_name: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field_name = field_name


class UnavailableError(GatewayError):
    """It could not be reached, or turned us away before doing anything. Try again, same key.

    `retry_after` is in seconds.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknownError(GatewayError):
    """It may have done it. Try again with the same key, then look the payment up."""


class InvalidCallbackError(GatewayError):
    """The callback is not from this gateway, or cannot be read."""


class Gateway(Protocol):
    """A payment gateway. Every call that moves money takes an idempotency key."""

    @property
    def name(self) -> str:
        """Short and lower case, as it stands in our records."""

    def check_amount(self, amount: Money) -> None:
        """Raise InvalidAmountError where the gateway could not charge `amount`."""

    async def create_token(self, card: Card) -> Token:
        """Exchange a raw card for a token. Raises RefusedError for a card that cannot be one."""

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        """Hold the money. A decline is an answer, not an error."""

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        """The order's payment as the gateway knows it, or None if it knows none since `since`."""

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        """Take the held money. Answers with the payment as it is if it cannot be captured now."""

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        """Release the held money. Answers with the payment as it is if it cannot be voided now."""

    async def refund(self, transaction_id: str, amount: Money, key: str) -> Refund:
        """Give captured money back; or answer with the refund that `key` made before, as it is."""

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        """Verify and translate. Raises InvalidCallbackError; anything else is a defect."""
