"""The storefront's door."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Path, Response
from fastapi.openapi.models import Example
from pydantic import AfterValidator

from app.api.access import WithParts, require_key
from app.api.body import ExactRoute
from app.api.card_numbers import without_card_number
from app.api.checkout import Checkout
from app.api.problems import FieldError, Kind, ProblemError, documented, unavailable
from app.api.schemas import ORDER_ID, InitiateRequest, PaymentStatus, PaymentView, secret_free
from app.api.views import payment_status, payment_view
from app.domain.facts import Event, Fact, PaymentMethod, Source
from app.domain.gateway import RefusedError, Token
from app.domain.money import InvalidAmountError, Money, exponent
from app.domain.order import Capture, Order
from app.domain.payment import (
    CLOSED,
    IN_FLIGHT,
    MAY_TRY_AGAIN,
    Attempt,
    OrderState,
    Payment,
    State,
    apply,
)
from app.domain.records import RecordsUnavailableError
from app.wiring import Parts
from app.workflows.messages import AttemptInput

MAX_ATTEMPTS = 5

router = APIRouter(
    prefix="/api/payment",
    tags=["payments"],
    route_class=ExactRoute,
    dependencies=[Depends(require_key)],
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Names one attempt: the same key gets the same answer.",
    ),
    AfterValidator(without_card_number),
]
OrderIdPath = Annotated[
    str, Path(pattern=f"^{ORDER_ID.pattern}$"), AfterValidator(without_card_number)
]
_UNDER_WAY: dict[str, Any] = {
    "model": PaymentView,
    "description": "Under way: look at `links.self`",
}


_SAMPLE: dict[str, Any] = {
    "order_id": "order-12345",
    "payment_method": "credit_card",
    "amount": 49.99,
}
EXAMPLES: dict[str, Example] = {
    "token": {
        "summary": "With the gateway's token",
        "value": {**_SAMPLE, "payment_method_token": "pm_card_visa"},
    },
    "card": {
        "summary": "With a raw card, where that is switched on",
        "value": {
            **_SAMPLE,
            "credit_card": {
                "number": "4111 1111 1111 1111",
                "expiry_month": "12",
                "expiry_year": "30",
                "cvv": "123",
            },
        },
    },
}


@router.post(
    "/initiate",
    summary="Pay for an order, or try again after a decline",
    response_model=PaymentView,
    responses={
        202: _UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.DECLINED,
            Kind.REFUSED,
            Kind.RAW_CARDS_OFF,
            Kind.UNAUTHORIZED,
            Kind.ORDER_MISMATCH,
            Kind.ORDER_CLOSED,
            Kind.TOO_MANY_ATTEMPTS,
            Kind.KEY_REUSED,
            Kind.UNAVAILABLE,
        ),
    },
)
async def initiate(
    body: Annotated[InitiateRequest, Body(openapi_examples=EXAMPLES)],
    parts: WithParts,
    response: Response,
    key: IdempotencyKey = None,
) -> PaymentView:
    """Safe to repeat: an order in flight or paid answers with the same payment. After a decline,
    a new request is a new attempt on the same order."""
    if body.credit_card is not None and not parts.settings.accept_raw_cards:
        raise ProblemError(
            Kind.RAW_CARDS_OFF,
            "Have the gateway's own field or page turn the card into a token, and send it as "
            "payment_method_token. Nothing was done.",
        )
    wanted = _order(body, parts)
    # For a new order the token comes first: a card that the gateway cannot use leaves no order.
    new = await parts.records.find_order(wanted.order_id) is None
    token = await _token(parts, body) if new else None
    order, payment = await parts.records.open_order(wanted)
    _same_order(order, wanted)
    if payment.order_state is OrderState.CANCELED:
        raise _closed(payment)
    fingerprint = f"{key} {_fingerprint(body)}" if key is not None else None
    earlier = _attempt_with_key(payment, fingerprint)
    if earlier is not None and earlier is not payment.attempt:
        raise _not_paid(payment, earlier)
    if earlier is None or payment.state in IN_FLIGHT:
        payment = await _pay(parts, order, payment, body, fingerprint, token)
    return _answer(payment, response)


@router.get(
    "/{order_id}",
    summary="How an order's payment stands, and all that happened",
    responses=documented(Kind.INVALID_REQUEST, Kind.UNAUTHORIZED, Kind.NOT_FOUND, Kind.UNAVAILABLE),
)
async def read_payment(order_id: OrderIdPath, parts: WithParts) -> PaymentStatus:
    """Reads our records; asks neither the gateway nor the workflow."""
    payment = await _find(parts, order_id)
    return payment_status(payment, await parts.records.facts(order_id))


@router.post(
    "/{order_id}/capture",
    summary="Take the money that is held (orders with `capture: manual`)",
    responses={
        202: _UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.UNAUTHORIZED,
            Kind.NOT_FOUND,
            Kind.NOT_CAPTURABLE,
            Kind.UNAVAILABLE,
        ),
    },
)
async def capture(order_id: OrderIdPath, parts: WithParts, response: Response) -> PaymentView:
    """Safe to repeat: a captured payment answers as it is."""
    payment = await _find(parts, order_id)
    if payment.captured:
        return payment_view(payment)
    if payment.state is not State.AUTHORIZED or payment.order_state is OrderState.CANCELED:
        raise _not_capturable(payment)
    running = await Checkout(parts).capture(order_id)
    payment = await _latest(parts, payment)
    if not payment.captured:
        if payment.state is not State.AUTHORIZED or not running:
            raise _not_capturable(payment)
        response.status_code = 202
    return payment_view(payment)


async def _pay(
    parts: Parts,
    order: Order,
    payment: Payment,
    body: InitiateRequest,
    key: str | None,
    token: Token | None,
) -> Payment:
    """Make the attempt that the request asks for, or join the one under way."""
    if payment.attempts and payment.state not in IN_FLIGHT | MAY_TRY_AGAIN:
        return payment
    number = payment.next_attempt_number
    if number not in payment.attempts and _answered_attempts(payment) >= MAX_ATTEMPTS:
        raise ProblemError(
            Kind.TOO_MANY_ATTEMPTS,
            f"{MAX_ATTEMPTS} attempts were made. Start again with a new order_id.",
        )
    if token is None and number not in payment.attempts:
        token = await _token(parts, body)
    # An attempt under way has its token already, and does not look at this one.
    id_, method = (token.id, token.method) if token else ("", PaymentMethod(body.payment_method))
    try:
        running = await Checkout(parts).attempt(
            order,
            AttemptInput(
                number=number,
                token=id_,
                method=method,
                return_url=str(body.return_url) if body.return_url is not None else None,
                idempotency_key=key,
            ),
            under_way=number in payment.attempts,
        )
    except ProblemError:
        known = await _latest(parts, payment)
        if number in known.attempts:  # it is being made, whatever we were told
            return known
        raise
    known = await _latest(parts, payment)
    if number in known.attempts or known.state not in IN_FLIGHT | MAY_TRY_AGAIN:
        return known
    if not running:
        raise _closed(known)
    # It is on its way, but not in the records yet: no earlier attempt may speak for it.
    sent = Fact(Event.ATTEMPTED, datetime.now(UTC), Source.API, attempt=number, method=method)
    return apply(known, sent)


async def _token(parts: Parts, body: InitiateRequest) -> Token:
    if body.credit_card is None:
        return Token(body.payment_method_token or "", PaymentMethod(body.payment_method))
    try:
        async with asyncio.timeout(parts.settings.initiate_wait_seconds):
            token = await parts.gateway.create_token(body.credit_card.to_card())
    except TimeoutError:
        raise unavailable(
            "The payment gateway did not answer in time.", "Nothing was charged."
        ) from None
    except RefusedError as refusal:
        raise ProblemError(
            Kind.REFUSED,
            f"{refusal.message} Ask the shopper for another card. Nothing was charged.",
            [FieldError(location="credit_card", message=refusal.code)],
            {"code": refusal.code, "retryable": True},
        ) from None
    method = PaymentMethod(body.payment_method, token.method.brand, token.method.last4)
    return Token(token.id, method)


def _answer(payment: Payment, response: Response) -> PaymentView:
    attempt = payment.attempt
    if payment.state in CLOSED or payment.order_state is OrderState.CANCELED:
        raise _closed(payment)
    if payment.state in MAY_TRY_AGAIN and attempt is not None:
        raise _not_paid(payment, attempt)
    if payment.state in IN_FLIGHT:
        response.status_code = 202
    return payment_view(payment)


def _closed(payment: Payment) -> ProblemError:
    return ProblemError(
        Kind.ORDER_CLOSED,
        f"The order is {payment.order_state}, its payment {payment.state}. "
        "Start again with a new order_id.",
        extra={"payment": payment_view(payment).model_dump(mode="json")},
    )


def _not_paid(payment: Payment, attempt: Attempt) -> ProblemError:
    """The problem that an attempt without money answers with."""
    if _never_answered(attempt):
        return unavailable("The payment gateway is out of reach.", "Nothing was charged.")
    decline = attempt.decline
    code = decline.code if decline is not None else "declined"
    message = decline.message if decline is not None else "The payment was declined."
    retryable = decline is None or decline.retryable
    kind = Kind.DECLINED if attempt.state is State.DECLINED else Kind.REFUSED
    another = _answered_attempts(payment) < MAX_ATTEMPTS
    advice = "Another payment method may be tried." if another else "Take a new order_id."
    return ProblemError(
        kind,
        f"{message} {advice}",
        extra={
            "code": code,
            "retryable": retryable,
            "another_method_may_be_tried": another,
            "attempt": attempt.number,
        },
    )


def _never_answered(attempt: Attempt) -> bool:
    """It failed for an outage of the gateway's, and is proven to have charged nothing."""
    decline = attempt.decline
    return attempt.state is State.FAILED and (
        decline is None or decline.code in ("gateway_unavailable", "not_charged")
    )


def _answered_attempts(payment: Payment) -> int:
    """Attempts that count: an outage is not the shopper's fault."""
    return sum(not _never_answered(attempt) for attempt in payment.attempts.values())


def _order(body: InitiateRequest, parts: Parts) -> Order:
    currency = body.currency or parts.settings.default_currency
    try:
        exponent(currency)
    except InvalidAmountError as error:
        raise ProblemError(
            Kind.INVALID_REQUEST,
            "Correct the currency and send the request again. Nothing was done.",
            [FieldError(location="currency", message=str(error))],
        ) from None
    amount = Money.from_decimal(body.amount, currency)
    parts.gateway.check_amount(amount)
    return Order(
        order_id=body.order_id,
        amount=amount,
        capture=Capture(body.capture),
        metadata=body.metadata,
        customer_email=body.customer_email,
    )


def _same_order(known: Order, wanted: Order) -> None:
    if known.amount != wanted.amount:
        raise ProblemError(
            Kind.ORDER_MISMATCH,
            f"Order {known.order_id} is for {known.amount}, not {wanted.amount}. "
            "Use a new order_id for another amount. Nothing was done.",
        )


def _fingerprint(body: InitiateRequest) -> str:
    """Tells one request from another, with nothing of the card in it."""
    told = secret_free(body)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _attempt_with_key(payment: Payment, fingerprint: str | None) -> Attempt | None:
    if fingerprint is None:
        return None
    key = fingerprint.split(" ")[0]
    for attempt in payment.attempts.values():
        known = attempt.idempotency_key
        if known is not None and known.split(" ")[0] == key:
            if known != fingerprint:
                raise ProblemError(
                    Kind.KEY_REUSED,
                    "Send a new Idempotency-Key with a new request. Nothing was done.",
                )
            if not _never_answered(attempt):  # else the same request may be sent again
                return attempt
    return None


def _not_capturable(payment: Payment) -> ProblemError:
    return ProblemError(
        Kind.NOT_CAPTURABLE,
        f"The order is {payment.order_state}, its payment {payment.state}: nothing to take.",
    )


async def _latest(parts: Parts, payment: Payment) -> Payment:
    """The payment as it is now. With the database away, as it was: what was asked for is done all
    the same, so that nothing may be said to have failed."""
    try:
        return await _find(parts, payment.order_id)
    except RecordsUnavailableError:
        return payment


async def _find(parts: Parts, order_id: str) -> Payment:
    payment = await parts.records.find_payment(order_id)
    if payment is None:
        raise ProblemError(Kind.NOT_FOUND, f"No order {order_id} was started here.")
    return payment
