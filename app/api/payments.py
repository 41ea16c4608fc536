"""The storefront's door."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Header, Response
from pydantic import AfterValidator

from app.api.access import WithClient, WithParts
from app.api.body import ExactRoute
from app.api.checkout import Checkout
from app.api.examples import WAYS_TO_PAY
from app.api.limits import Admission, admission
from app.api.offers import check_fit, find_offer, money
from app.api.orders import UNDER_WAY, OrderIdPath, find_payment, latest
from app.api.problems import Kind, ProblemError, documented, unavailable
from app.api.schemas import (
    IDEMPOTENCY_KEY,
    InitiateRequest,
    PaymentStatus,
    PaymentView,
    secret_free,
)
from app.api.settler import WithSettler
from app.api.tokens import require_open_door, token_for
from app.api.trace import WithTrace
from app.api.views import payment_status, payment_view
from app.domain.card_numbers import without_card_number
from app.domain.facts import Event, Fact, PaymentMethod, Source
from app.domain.gateway import Token
from app.domain.money import Money
from app.domain.order import Order
from app.domain.payment import (
    CLOSED,
    IN_FLIGHT,
    MAY_TRY_AGAIN,
    OPEN_TO_ATTEMPTS,
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
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_KEY,
        description="Names one attempt: the same key gets the same answer.",
    ),
    AfterValidator(without_card_number),
]


@router.post(
    "/initiate",
    summary="Pay for an order, or try again after a decline",
    response_model=PaymentView,
    responses={
        202: UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.DECLINED,
            Kind.REFUSED,
            Kind.METHOD_NOT_OFFERED,
            Kind.RAW_CARDS_OFF,
            Kind.ORDER_MISMATCH,
            Kind.ORDER_CLOSED,
            Kind.CARD_NOT_ACCEPTED,
            Kind.TOO_MANY_ATTEMPTS,
            Kind.KEY_REUSED,
            Kind.TOO_MANY_REQUESTS,
        ),
    },
)
async def initiate(
    body: Annotated[InitiateRequest, Body(openapi_examples=WAYS_TO_PAY)],
    parts: WithParts,
    client: WithClient,
    settler: WithSettler,
    response: Response,
    trace: WithTrace,
    key: IdempotencyKey = None,
) -> PaymentView:
    """Safe to repeat: an order in flight or paid answers with the same payment. After a decline,
    a new request is a new attempt on the same order."""
    trace.object = body.order_id
    async with admission(parts, client, settler, body) as admitted:
        payment = await _initiated(parts, body, key, admitted)
    return _answer(payment, response)


@router.get(
    "/{order_id}",
    summary="How an order's payment stands, and all that happened",
    responses=documented(Kind.INVALID_REQUEST, Kind.NOT_FOUND),
)
async def read_payment(order_id: OrderIdPath, parts: WithParts) -> PaymentStatus:
    """Reads our records; asks neither the gateway nor the workflow."""
    payment = await find_payment(parts, order_id)
    facts = await parts.records.facts(order_id)
    return payment_status(payment, facts, await parts.records.unknown_outcomes(order_id))


async def _initiated(
    parts: Parts, body: InitiateRequest, key: str | None, admitted: Admission
) -> Payment:
    """The payment, after the attempt that the request asks for, if it asks for one."""
    if body.credit_card is not None and not parts.settings.accept_raw_cards:
        raise ProblemError(
            Kind.RAW_CARDS_OFF,
            "Have the gateway's own field or page turn the card into a token, and send it as "
            "payment_method_token. Nothing was done.",
        )
    wanted = _order(body, money(parts, body.amount, body.currency))
    offer = find_offer(parts, body.payment_method, wanted.amount)
    known = await parts.records.find_order(wanted.order_id)
    check_fit(body, offer, known or wanted)
    # For a new order the token comes first: a card that the gateway cannot use leaves no order.
    token = await _token(parts, body, admitted) if known is None else None
    order, payment = await parts.records.open_order(wanted)
    _same_order(order, wanted, body)
    if payment.order_state is OrderState.CANCELED:
        raise _closed(payment)
    fingerprint = f"{key} {_fingerprint(body)}" if key is not None else None
    earlier = _attempt_with_key(payment, fingerprint)
    if earlier is not None and earlier is not payment.attempt and earlier.state in MAY_TRY_AGAIN:
        raise _not_paid(payment, earlier)
    if earlier is None or payment.state in IN_FLIGHT:
        payment = await _pay(parts, order, payment, body, fingerprint, token, admitted)
    return payment


async def _token(parts: Parts, body: InitiateRequest, admitted: Admission) -> Token:
    """What a new attempt is to be paid with. Nobody gives the gateway a card while no workflow can
    pay with it: such places would come back unused, for the next cards."""
    await Checkout(parts).require_temporal()
    await admitted.begin()
    return await token_for(parts, body)


async def _pay(
    parts: Parts,
    order: Order,
    payment: Payment,
    body: InitiateRequest,
    key: str | None,
    token: Token | None,
    admitted: Admission,
) -> Payment:
    """Make the attempt that the request asks for, or join the one under way."""
    number = payment.attempt_number(body.payment_method)
    under_way = number in payment.attempts
    if not under_way:
        if _answered_attempts(payment) >= MAX_ATTEMPTS:
            raise ProblemError(
                Kind.TOO_MANY_ATTEMPTS,
                f"{MAX_ATTEMPTS} attempts were made. Start again with a new order_id.",
            )
        token = token or await _token(parts, body, admitted)
        await require_open_door(parts, payment, token)
        await _accept_mandate(parts, order, body)
    await admitted.make(number)
    if under_way and payment.state not in IN_FLIGHT:
        return payment
    # An attempt under way has its token already, and does not look at this one.
    token = token or Token("", PaymentMethod(body.payment_method))
    try:
        running = await Checkout(parts).attempt(
            order, _attempt(body, number, token, key), under_way=under_way
        )
    except ProblemError:
        known = await latest(parts, payment)
        if number in known.attempts:  # it is being made, whatever we were told
            return known
        raise
    known = await latest(parts, payment)
    if number in known.attempts or known.state not in OPEN_TO_ATTEMPTS:
        return known
    if not running:
        raise _closed(known)
    return await _taken_on(parts, known, number, token.method, key)


async def _taken_on(
    parts: Parts, known: Payment, number: int, method: PaymentMethod, key: str | None
) -> Payment:
    """Note an attempt that no worker has begun yet: the earlier one may not speak for it, neither
    in our answer nor when the storefront asks again."""
    sent = Fact(
        Event.ATTEMPTED,
        datetime.now(UTC),
        Source.API,
        attempt=number,
        method=method,
        idempotency_key=key,
    )
    try:
        return await parts.records.append(known.order_id, [sent])
    except RecordsUnavailableError:
        return apply(known, sent)  # it is made all the same


async def _accept_mandate(parts: Parts, order: Order, body: InitiateRequest) -> None:
    mandate = body.mandate.to_mandate() if body.mandate is not None else order.mandate
    if mandate is not None and mandate != order.mandate:
        await parts.records.accept_mandate(order.order_id, mandate)


def _attempt(body: InitiateRequest, number: int, token: Token, key: str | None) -> AttemptInput:
    return AttemptInput(
        number=number,
        token=token.id,
        method=token.method,
        return_url=str(body.return_url) if body.return_url is not None else None,
        idempotency_key=key,
        customer_id=body.customer_id,
        save=body.save_payment_method,
        off_session=body.off_session,
        billing_country=body.billing_country,
    )


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
    if attempt.was_never_answered:
        return unavailable("The payment gateway is out of reach.", "Nothing was charged.")
    decline = attempt.decline
    code = decline.code if decline is not None else "declined"
    message = decline.message if decline is not None else "The payment was declined."
    retryable = decline is None or decline.retryable
    kind = Kind.DECLINED if attempt.state is State.DECLINED else Kind.REFUSED
    waiting = payment.state in MAY_TRY_AGAIN
    another = waiting and _answered_attempts(payment) < MAX_ATTEMPTS
    advice = "Another payment method may be tried." if another else "Take a new order_id."
    if not waiting:
        advice = f"Another attempt was made since: the payment is {payment.state}."
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


def _answered_attempts(payment: Payment) -> int:
    """Attempts that count: an outage is not the shopper's fault."""
    return sum(not attempt.was_never_answered for attempt in payment.attempts.values())


def _order(body: InitiateRequest, amount: Money) -> Order:
    return Order(
        order_id=body.order_id,
        amount=amount,
        capture=body.capture,
        metadata=body.metadata,
        customer_email=body.customer_email,
        customer_id=body.customer_id,
        mandate=body.mandate.to_mandate() if body.mandate is not None else None,
    )


def _same_order(known: Order, wanted: Order, body: InitiateRequest) -> None:
    if known.amount != wanted.amount:
        raise ProblemError(
            Kind.ORDER_MISMATCH,
            f"Order {known.order_id} is for {known.amount}, not {wanted.amount}. "
            "Use a new order_id for another amount. Nothing was done.",
        )
    if "capture" in body.model_fields_set and known.capture is not wanted.capture:
        raise ProblemError(
            Kind.ORDER_MISMATCH,
            f"Order {known.order_id} was started with capture {known.capture}. "
            "Send the same, or use a new order_id. Nothing was done.",
        )
    if known.customer_id != wanted.customer_id:
        raise ProblemError(
            Kind.ORDER_MISMATCH,
            f"Order {known.order_id} was started with another customer_id, or without one. "
            "Send the same, or use a new order_id. Nothing was done.",
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
            if not attempt.was_never_answered:  # else the same request may be sent again
                return attempt
    return None
