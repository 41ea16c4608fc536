"""The gateway's tokens: made of a raw card, known by its fingerprint, kept for a customer.

All that the API itself asks of the gateway. No money moves in it.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from app.api.problems import FieldError, Kind, ProblemError, unavailable
from app.api.schemas import InitiateRequest
from app.domain.facts import PaymentMethod
from app.domain.gateway import RefusedError, Token
from app.domain.payment import Attempt, Payment, State
from app.wiring import Parts

_Answer = TypeVar("_Answer")


async def token_for(parts: Parts, body: InitiateRequest) -> Token:
    """The token to pay with: the request's own, or one made of its raw card; empty where the method
    needs none."""
    if body.credit_card is None:
        return Token(body.payment_method_token or "", PaymentMethod(body.payment_method))
    try:
        token = await _in_time(parts, parts.gateway.create_token(body.credit_card.to_card()))
    except RefusedError as refusal:
        raise ProblemError(
            Kind.REFUSED,
            f"{refusal.message} Ask the shopper for another card. Nothing was charged.",
            [FieldError(location="credit_card", message=refusal.code)],
            {"code": refusal.code, "retryable": True},
        ) from None
    made = token.method
    return Token(
        token.id, PaymentMethod(body.payment_method, made.brand, made.last4, made.fingerprint)
    )


async def require_open_door(parts: Parts, payment: Payment, token: Token) -> None:
    """Raises a problem for a card that this order saw declined for good: lost, stolen, to be kept.

    Every further try costs trust with the banks, and cannot succeed.
    """
    closed = {a.method.fingerprint for a in payment.attempts.values() if a.method and _for_good(a)}
    closed.discard(None)
    if not closed or not token.id:
        return
    method = token.method
    if method.fingerprint is None:
        method = (await _in_time(parts, parts.gateway.read_token(token.id))).method
    if method.fingerprint in closed:
        raise ProblemError(
            Kind.CARD_NOT_ACCEPTED,
            "This card was declined for good; ask for another. Nothing was charged.",
        )


async def saved_tokens(parts: Parts, customer_id: str) -> list[Token]:
    """What the gateway keeps for one of our customers, each card once. Nothing for one that it does
    not know, or no longer."""
    customer = await parts.records.find_customer(customer_id)
    if customer is None:
        return []
    try:
        saved = await _in_time(parts, parts.gateway.saved_methods(customer))
    except RefusedError:
        return []
    each = {token.method.fingerprint or token.id: token for token in reversed(saved)}
    return list(reversed(each.values()))


def _for_good(attempt: Attempt) -> bool:
    decline = attempt.decline
    return attempt.state is State.DECLINED and decline is not None and not decline.retryable


async def _in_time(parts: Parts, asked: Awaitable[_Answer]) -> _Answer:
    """The gateway's answer, while a storefront waits for ours."""
    try:
        async with asyncio.timeout(parts.settings.initiate_wait_seconds):
            return await asked
    except TimeoutError:
        raise unavailable(
            "The payment gateway did not answer in time.", "Nothing was charged."
        ) from None
