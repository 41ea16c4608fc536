"""An order as the storefront placed it. Personal data stays here, out of the workflow."""

from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.money import Money


class Capture(StrEnum):
    """Who decides when held money is taken."""

    AUTOMATIC = "automatic"  # Tillflow, once the payment is confirmed and stock is reserved
    MANUAL = "manual"  # the storefront


@dataclass(frozen=True)
class Order:
    """What is to be paid for. `metadata` is the storefront's own."""

    order_id: str
    amount: Money
    capture: Capture = Capture.AUTOMATIC
    metadata: dict[str, str] = field(default_factory=dict)
    customer_email: str | None = field(default=None, repr=False)
