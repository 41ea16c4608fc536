"""What the payment workflow is started and asked with. Tokens only: a card never comes here."""

from dataclasses import dataclass

from app.domain.facts import PaymentMethod
from app.domain.fulfilment import StepPlan
from app.domain.money import Money
from app.domain.order import Capture


@dataclass(frozen=True)
class AttemptInput:
    """A request to pay. `token` is the gateway's."""

    number: int
    token: str
    method: PaymentMethod
    return_url: str | None = None
    idempotency_key: str | None = None


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
