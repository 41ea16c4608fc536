"""What the contract's tests ask of a gateway again and again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.gateway import AuthorizeRequest, Card, GatewayPayment
from app.domain.methods import Method
from app.domain.money import Money
from tests.gateways.subject import Charges, Subject

PRICE = Money(4999, "usd")
EUROS = Money(4999, "eur")
NEXT_YEAR = datetime.now(UTC).year + 1
RETURN_URL = "https://shop.example/return"
HELD = Charges(payments=1, authorizations=1, held=4999)
TAKEN = Charges(payments=1, authorizations=1, captures=1, captured=4999)


def card(number: str) -> Card:
    return Card(number, 12, NEXT_YEAR, "123")


def since() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


async def request(subject: Subject, order_id: str, number: str, **more: Any) -> AuthorizeRequest:
    """Of the price, on a card with this number."""
    token = (await subject.gateway.create_token(card(number))).id
    return AuthorizeRequest(order_id, PRICE, Method.CREDIT_CARD, token, **more)


async def authorize(subject: Subject, order_id: str, number: str, **more: Any) -> GatewayPayment:
    asked = await request(subject, order_id, number, **more)
    return await subject.gateway.authorize(asked, key=f"{order_id}:authorize:1")


async def held(subject: Subject, order_id: str) -> str:
    """An authorized payment, by its transaction id."""
    return (await authorize(subject, order_id, subject.good_card)).transaction_id


async def taken(subject: Subject, order_id: str, number: str | None = None) -> str:
    """A captured payment, by its transaction id."""
    seen = await authorize(subject, order_id, number or subject.good_card)
    await subject.gateway.capture(seen.transaction_id, PRICE, key=f"{order_id}:capture:1")
    return seen.transaction_id


async def looked_up(subject: Subject, seen: GatewayPayment) -> GatewayPayment:
    """The same payment, now."""
    found = await subject.gateway.look_up(seen.order_id or "", seen.transaction_id, since())
    assert found is not None
    return found
