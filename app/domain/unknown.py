"""What we asked of the gateway without learning what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Operation(StrEnum):
    """What was asked."""

    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


@dataclass(frozen=True)
class UnknownOutcome:
    """An operation that may have been done. `refund` is our name of it where it is a refund.
    `next_check_at` is when the gateway is asked next; None once the outcome is known."""

    operation: Operation
    since: datetime
    next_check_at: datetime | None
    refund: str = ""


class Resolution(StrEnum):
    """What an operator decides of an unknown outcome."""

    NOT_CHARGED = "not_charged"  # they saw at the gateway that nothing was done
    LOOK_AGAIN = "look_again"  # now, rather than at the next check
