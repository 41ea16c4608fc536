"""An order as the storefront placed it. Personal data stays here, out of the workflow."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from app.domain.money import Money

ORDER_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Capture(StrEnum):
    """Who decides when held money is taken."""

    AUTOMATIC = "automatic"  # Tillflow, once the payment is confirmed and stock is reserved
    MANUAL = "manual"  # the storefront


@dataclass(frozen=True)
class Mandate:
    """From where the shopper allowed their account to be debited: the bank wants to know."""

    ip_address: str
    user_agent: str


@dataclass(frozen=True)
class Order:
    """What is to be paid for. `metadata` and `customer_id` are the storefront's own."""

    order_id: str
    amount: Money
    capture: Capture = Capture.AUTOMATIC
    metadata: dict[str, str] = field(default_factory=dict)
    customer_email: str | None = field(default=None, repr=False)
    customer_id: str | None = None
    mandate: Mandate | None = field(default=None, repr=False)
