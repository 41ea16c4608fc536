"""What the payment workflow is started and asked with. Tokens only: a card never comes here."""

from dataclasses import dataclass

from app.domain.facts import PaymentMethod
from app.domain.fulfilment import StepPlan
from app.domain.gateway import Period
from app.domain.money import Money
from app.domain.order import Capture
from app.domain.unknown import Resolution

# Stripe keeps an idempotency key for 24 hours at least: so long the same request is the same one.
UNKNOWN_AGE_LIMIT_SECONDS = 24 * 3600.0


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
    """An order to be paid and fulfilled. Without an `attempt` it waits for one until the checkout
    expires."""

    order_id: str
    amount: Money
    gateway: str
    capture: Capture
    plan: list[StepPlan]
    attempt: AttemptInput | None
    expiry_seconds: float
    grace_seconds: float
    unknown_age_limit_seconds: float = UNKNOWN_AGE_LIMIT_SECONDS


@dataclass(frozen=True)
class CaptureInput:
    """Take `amount` of the held money. What is not taken is released."""

    amount: Money


@dataclass(frozen=True)
class CancelInput:
    """Call the order off. `reason` is the storefront's."""

    reason: str | None = None


@dataclass(frozen=True)
class ResolveInput:
    """An operator's decision about an unknown outcome. `transaction_id` is the gateway's payment
    that they found, to be looked up."""

    outcome: Resolution
    actor: str
    reason: str
    transaction_id: str | None = None


@dataclass(frozen=True)
class RefundInput:
    """Give `amount` of an order's money back. `name` is ours, `reason` the storefront's."""

    order_id: str
    name: str
    amount: Money
    gateway: str
    transaction_id: str
    reason: str | None = None
    unknown_age_limit_seconds: float = UNKNOWN_AGE_LIMIT_SECONDS


@dataclass(frozen=True)
class DisputeInput:
    """A dispute over an order's payment, by the gateway's id. `amount` is the order's."""

    order_id: str
    dispute_id: str
    gateway: str
    transaction_id: str
    amount: Money


@dataclass(frozen=True)
class ReconcileInput:
    """What to compare: a period, or the last hours. What differs for `patience_seconds` needs
    attention. `step` and `after` say where to go on, `pages` how many of them go into one
    history."""

    period: Period | None = None
    hours: int = 3
    step: int = 0
    after: str | None = None
    pages: int = 500
    patience_seconds: float = 300
