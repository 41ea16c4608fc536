"""The order that an address names, and its payment."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator

from app.api.problems import Kind, ProblemError
from app.api.schemas import PaymentView
from app.domain.card_numbers import without_card_number
from app.domain.order import ORDER_ID
from app.domain.payment import Payment
from app.domain.records import RecordsUnavailableError
from app.wiring import Parts

OrderIdPath = Annotated[
    str, Path(pattern=f"^{ORDER_ID.pattern}$"), AfterValidator(without_card_number)
]
UNDER_WAY: dict[str, Any] = {
    "model": PaymentView,
    "description": "Under way: look at `links.self`",
}


async def find_payment(parts: Parts, order_id: str) -> Payment:
    """The order's payment. Raises a 404 problem where there is no such order."""
    payment = await parts.records.find_payment(order_id)
    if payment is None:
        raise ProblemError(Kind.NOT_FOUND, f"No order {order_id} was started here.")
    return payment


async def latest(parts: Parts, payment: Payment) -> Payment:
    """The payment as it is now. With the database away, as it was: what was asked for is done all
    the same, so that nothing may be said to have failed."""
    try:
        return await find_payment(parts, payment.order_id)
    except RecordsUnavailableError:
        return payment
