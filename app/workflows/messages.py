"""What the payment workflow is started and asked with. Tokens only: a card never comes here."""

from dataclasses import dataclass

from app.domain.facts import PaymentMethod
from app.domain.fulfilment import StepPlan
from app.domain.money import Money
from app.domain.order import Capture


@dataclass(frozen=True)
class AttemptInput:
    """A request to pay. `token` is the gateway's: empty where the method needs none. `customer_id`
    is the storefront's, `off_session` says that the shopper is not there."""

    number: int
    token: str
    method: PaymentMethod
    return_url: str | None = None
    idempotency_key: str | None = None
    customer_id: str | None = None
    save: bool = False
    off_session: bool = False
    billing_country: str | None = None


@dataclass(frozen=True)
class PaymentInput:
    """An order to be paid and fulfilled."""

    order_id: str
    amount: Money
    gateway: str
    capture: Capture
    plan: list[StepPlan]
    attempt: AttemptInput
    expiry_seconds: float
    grace_seconds: float


@dataclass(frozen=True)
class CaptureInput:
    """Take `amount` of the held money. What is not taken is released."""

    amount: Money


@dataclass(frozen=True)
class CancelInput:
    """Call the order off. `reason` is the storefront's."""

    reason: str | None = None


@dataclass(frozen=True)
class RefundInput:
    """Give `amount` of an order's money back. `name` is ours, `reason` the storefront's."""

    order_id: str
    name: str
    amount: Money
    gateway: str
    transaction_id: str
    reason: str | None = None


@dataclass(frozen=True)
class DisputeInput:
    """A dispute over an order's payment, by the gateway's id. `amount` is the order's."""

    order_id: str
    dispute_id: str
    gateway: str
    transaction_id: str
    amount: Money
