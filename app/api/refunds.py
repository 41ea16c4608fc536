"""Captured money, given back."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Response
from pydantic import AfterValidator

from app.api.access import WithParts
from app.api.body import ExactRoute
from app.api.checkout import Answer, Checkout
from app.api.orders import OrderIdPath, find_payment, latest
from app.api.problems import Kind, ProblemError, documented
from app.api.schemas import IDEMPOTENCY_KEY, RefundList, RefundRequest, RefundView
from app.api.views import refund_view, refund_views, refundable
from app.domain.card_numbers import without_card_number
from app.domain.money import Money
from app.domain.payment import OrderState, Payment
from app.domain.reversals import Refund, RefundState, refund_name
from app.wiring import Parts
from app.workflows.messages import RefundInput

router = APIRouter(
    prefix="/api/payment/{order_id}/refunds",
    tags=["refunds"],
    route_class=ExactRoute,
)

RefundKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_KEY,
        description="Names the refund: one key makes one refund, however often it is sent.",
    ),
    AfterValidator(without_card_number),
]
_MADE: dict[str, Any] = {
    "description": "The refund as it stands: pending, succeeded or failed",
    "headers": {
        "Location": {"description": "Where to look at it", "schema": {"type": "string"}},
    },
}
_KNOWN: dict[str, Any] = {
    "model": RefundView,
    "description": "The key's refund was asked for before: as it stands",
}
_UNDER_WAY: dict[str, Any] = {
    "model": RefundView,
    "description": "Under way, and not noted yet: send the same request again, or look at "
    "`links.self` in a few seconds",
    "headers": _MADE["headers"],
}


@router.post(
    "",
    summary="Give captured money back, in whole or in part",
    status_code=201,
    responses={
        200: _KNOWN,
        201: _MADE,
        202: _UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.NOT_FOUND,
            Kind.KEY_REUSED,
            Kind.NOT_REFUNDABLE,
        ),
    },
)
async def refund(
    order_id: OrderIdPath,
    key: RefundKey,
    parts: WithParts,
    response: Response,
    body: RefundRequest | None = None,
) -> RefundView:
    """Asked of the gateway at once; its banks may take days: `status` says how far it is."""
    body = body or RefundRequest()
    payment = await find_payment(parts, order_id)
    wanted = _wanted(parts, body, payment)
    name = refund_name(order_id, key)
    known = payment.refunds.get(name)
    if known is not None:
        _same_request(known, wanted, body)
        response.status_code = 200
        return refund_view(payment, known)
    amount = wanted or payment.amount.of(max(payment.refundable, 0))
    transaction_id = _refundable_payment(payment, amount)
    answer = await Checkout(parts).refund(
        RefundInput(
            order_id,
            name,
            amount,
            parts.gateway.name,
            transaction_id,
            body.reason,
            parts.settings.unknown_age_limit_seconds,
        ),
        known_facts=len(await parts.records.facts(order_id)),
    )
    if answer is Answer.TAKEN_ON:
        payment = await latest(parts, payment)
    else:
        payment = await find_payment(parts, order_id)
    made = payment.refunds.get(name)
    if made is not None:
        _same_request(made, wanted, body)
    elif answer is Answer.TAKEN_ON:
        response.status_code = 202
        made = Refund(
            name, amount.minor, RefundState.PENDING, datetime.now(UTC), reason=body.reason
        )
    else:
        raise _not_refundable(payment)
    view = refund_view(payment, made)
    response.headers["Location"] = view.links.self
    return view


@router.get(
    "",
    summary="Every refund of an order, those begun at the gateway too",
    responses=documented(Kind.INVALID_REQUEST, Kind.NOT_FOUND),
)
async def list_refunds(order_id: OrderIdPath, parts: WithParts) -> RefundList:
    """The oldest first."""
    return RefundList(refunds=refund_views(await find_payment(parts, order_id)))


@router.get(
    "/{refund_id}",
    summary="How a refund stands",
    responses=documented(Kind.INVALID_REQUEST, Kind.NOT_FOUND),
)
async def read_refund(
    order_id: OrderIdPath,
    refund_id: Annotated[
        str, Path(pattern=r"^[A-Za-z0-9_]{1,255}$"), AfterValidator(without_card_number)
    ],
    parts: WithParts,
) -> RefundView:
    """By our id or, where it was begun at the gateway, by the gateway's."""
    payment = await find_payment(parts, order_id)
    known = payment.refunds.get(refund_id)
    if known is None:
        raise ProblemError(Kind.NOT_FOUND, f"Order {order_id} has no refund {refund_id}.")
    return refund_view(payment, known)


def _wanted(parts: Parts, body: RefundRequest, payment: Payment) -> Money | None:
    if body.amount is None:
        return None
    amount = Money.from_decimal(body.amount, payment.amount.currency)
    parts.gateway.check_part(amount)
    return amount


def _same_request(known: Refund, wanted: Money | None, body: RefundRequest) -> None:
    """No amount is the amount of the first time: what was left then."""
    if (wanted is not None and wanted.minor != known.amount) or body.reason != known.reason:
        raise ProblemError(
            Kind.KEY_REUSED, "Send a new Idempotency-Key with a new refund. Nothing was done."
        )


def _refundable_payment(payment: Payment, amount: Money) -> str:
    """The gateway's payment to give `amount` back from. Raises the not-refundable problem."""
    transaction_id = payment.transaction_id
    if transaction_id is None or not 0 < amount.minor <= payment.refundable:
        raise _not_refundable(payment)
    return transaction_id


def _not_refundable(payment: Payment) -> ProblemError:
    home = f"/api/payment/{payment.order_id}"
    links = {"payment": home}
    left = payment.amount.of(max(payment.refundable, 0))
    if not payment.captured:
        detail = "No money was taken"
        if payment.order_state is not OrderState.CANCELED:
            detail += ": cancel the order instead"
            links["cancel"] = f"{home}/cancel"
    elif payment.disputed:
        detail = "The shopper's bank disputes the payment, or has won: nothing can be refunded"
    elif left.minor:
        detail = f"{left} can be refunded, and no more"
    else:
        detail = "Nothing is left to refund: it went back, or is on its way"
    return ProblemError(
        Kind.NOT_REFUNDABLE,
        f"{detail}. Nothing was done.",
        extra={"refundable": refundable(payment), "links": links},
    )
