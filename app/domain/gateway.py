"""What we ask of any gateway, what it answers, and how it fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from app.domain.facts import Decline, NextAction, PaymentMethod
from app.domain.methods import Method, Offer
from app.domain.money import Money
from app.domain.order import Mandate
from app.domain.reversals import DisputeState, RefundState


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
    """Hold `amount`; or take it at once, where the method knows no holding.

    `transaction_id` continues an earlier declined try. `customer` is the gateway's id of whose
    payment method it is, or becomes with `save`. `off_session`: the shopper is not there.
    """

    order_id: str
    amount: Money
    method: Method
    token: str | None = None
    transaction_id: str | None = None
    return_url: str | None = None
    customer: str | None = None
    save: bool = False
    off_session: bool = False
    billing_country: str | None = None
    email: str | None = field(default=None, repr=False)
    mandate: Mandate | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Fee:
    """What the gateway took for its work, in the currency of our account there. `reference` is its
    id of the movement in our balance."""

    reference: str
    amount: Money


@dataclass(frozen=True)
class GatewayPayment:
    """A payment as the gateway sees it. Amounts are totals in minor units of `amount.currency`.
    `created_at` is by the gateway's clock; `fee` is None until the gateway knows it."""

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
    fee: Fee | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class GatewayRefund:
    """A refund as the gateway sees it. `name` is ours, where we asked for it; `failure` says why it
    did not arrive."""

    refund_id: str
    transaction_id: str
    amount: Money
    state: RefundState
    name: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class GatewayDispute:
    """A dispute as the gateway sees it. `amount` is what the bank has taken: nothing while it only
    inquires. `fees` are for the gateway's own work with it."""

    dispute_id: str
    transaction_id: str
    amount: Money
    state: DisputeState
    reason: str | None = None
    evidence_due_by: datetime | None = None
    fees: tuple[Fee, ...] = ()


@dataclass(frozen=True)
class GatewayEvent:
    """A callback, verified and translated: news of a payment, a refund or a dispute. Without any of
    them it is only a hint to look."""

    gateway: str
    event_id: str
    type: str
    order_id: str | None
    created_at: datetime
    payment: GatewayPayment | None = None
    refund: GatewayRefund | None = None
    dispute: GatewayDispute | None = None

    @property
    def transaction_id(self) -> str | None:
        """The gateway's payment that it is about."""
        told = self.payment or self.refund or self.dispute
        return told.transaction_id if told is not None else None


class MovementKind(StrEnum):
    """Why our balance at the gateway changed."""

    CHARGE = "charge"
    REFUND = "refund"  # also one that came back
    DISPUTE = "dispute"  # also one that was won
    FEE = "fee"
    PAYOUT = "payout"  # to our bank; back from it where the bank did not take it
    OTHER = "other"


@dataclass(frozen=True)
class GatewayMovement:
    """One movement of our balance at the gateway, in minor units of `currency`: the account's.
    `amount` is before the fee, and negative where it left us."""

    movement_id: str
    kind: MovementKind
    amount: int
    fee: int
    currency: str
    created_at: datetime
    transaction_id: str | None = None


_Listed = TypeVar("_Listed")


@dataclass(frozen=True)
class Period:
    """From `since` on, up to and without `until`, by the gateway's clock."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Page(Generic[_Listed]):
    """A part of a list. `after` is where the next one goes on, None after the last. `unreadable`
    are the gateway's ids of what is in it and makes no sense."""

    items: list[_Listed]
    after: str | None = None
    unreadable: list[str] = field(default_factory=list)


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


class UnreadableError(GatewayError):
    """It showed something of no shape that we know."""


class InvalidCallbackError(GatewayError):
    """The callback is not from this gateway, or cannot be read."""


class Gateway(Protocol):
    """A payment gateway. Every call that moves money takes an idempotency key."""

    @property
    def name(self) -> str:
        """Short and lower case, as it stands in our records."""

    def check_amount(self, amount: Money) -> None:
        """Raise InvalidAmountError where the gateway could not charge `amount`."""

    def check_part(self, amount: Money) -> None:
        """The same for a part of a payment, to capture or to refund."""

    def offers(self, amount: Money) -> list[Offer]:
        """Ways to pay `amount`. Raises InvalidAmountError where it could not be charged at all."""

    async def create_token(self, card: Card) -> Token:
        """Exchange a raw card for a token. Raises RefusedError for a card that cannot be one."""

    async def read_token(self, token: str) -> Token:
        """What stands behind a token. Raises RefusedError for one that it does not know."""

    async def create_customer(self, customer_id: str, key: str) -> str:
        """The gateway's own id for one of our customers, to keep payment methods under."""

    async def saved_methods(self, customer: str) -> list[Token]:
        """The payment methods kept under that id of the gateway's."""

    async def authorize(self, request: AuthorizeRequest, key: str) -> GatewayPayment:
        """Hold the money. A decline is an answer, not an error."""

    async def look_up(
        self, order_id: str, transaction_id: str | None, since: datetime
    ) -> GatewayPayment | None:
        """The order's payment as the gateway knows it, or None if it knows none since `since`. It
        and the look-ups below raise UnreadableError for what makes no sense."""

    async def capture(self, transaction_id: str, amount: Money, key: str) -> GatewayPayment:
        """Take the held money. Answers with the payment as it is if it cannot be captured now."""

    async def void(self, transaction_id: str, key: str) -> GatewayPayment:
        """Release the held money. Answers with the payment as it is if it cannot be voided now."""

    async def refund(
        self, order_id: str, transaction_id: str, amount: Money, name: str, key: str
    ) -> GatewayRefund:
        """Give captured money back; or answer with the refund of that name as it is, if there is
        one already. `name` comes from `refund_name`."""

    async def look_up_refund(self, transaction_id: str, name: str) -> GatewayRefund | None:
        """The refund of that name, ours or the gateway's, as it stands; None if there is none."""

    async def look_up_dispute(self, dispute_id: str) -> GatewayDispute:
        """The dispute as it stands."""

    async def list_payments(self, period: Period, after: str | None) -> Page[GatewayPayment]:
        """Payments made in the period that name an order, a page at a time, the newest first."""

    async def list_refunds(self, period: Period, after: str | None) -> Page[GatewayRefund]:
        """The same of refunds of payments."""

    async def list_disputes(self, period: Period, after: str | None) -> Page[GatewayDispute]:
        """The same of disputes."""

    async def list_movements(self, period: Period, after: str | None) -> Page[GatewayMovement]:
        """The same of movements of our balance."""

    async def list_events(self, period: Period, after: str | None) -> Page[GatewayEvent]:
        """The same of what it has reported, or tried to. As far back as the gateway keeps them."""

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> GatewayEvent:
        """Verify and translate. Raises InvalidCallbackError; anything else is a defect."""
