"""Held money: the storefront takes it, or calls the order off."""

from fastapi import APIRouter, Response

from app.api.access import WithParts
from app.api.body import ExactRoute
from app.api.checkout import Answer, Checkout
from app.api.orders import UNDER_WAY, OrderIdPath, find_payment, latest
from app.api.problems import FieldError, Kind, ProblemError, documented, invalid
from app.api.schemas import CancelRequest, CaptureRequest, PaymentView
from app.api.views import payment_view
from app.domain.money import Money
from app.domain.payment import OrderState, Payment, State
from app.wiring import Parts
from app.workflows.messages import CancelInput, CaptureInput

router = APIRouter(
    prefix="/api/payment",
    tags=["payments"],
    route_class=ExactRoute,
)


@router.post(
    "/{order_id}/capture",
    summary="Take the money that is held (orders with `capture: manual`)",
    responses={
        202: UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.NOT_FOUND,
            Kind.NOT_CAPTURABLE,
        ),
    },
)
async def capture(
    order_id: OrderIdPath,
    parts: WithParts,
    response: Response,
    body: CaptureRequest | None = None,
) -> PaymentView:
    """Once an order: the rest is released. Safe to repeat: a captured payment answers as it is."""
    payment = await find_payment(parts, order_id)
    wanted = _wanted(parts, body, payment)
    if payment.captured:
        return _captured(payment, wanted)
    if payment.state is not State.AUTHORIZED or payment.order_state is OrderState.CANCELED:
        raise _nothing_held(payment)
    held = payment.amount.of(payment.authorized)
    if wanted is not None and wanted.minor > held.minor:
        raise invalid(FieldError(location="amount", message=f"no more than {held} is held"))
    answer = await Checkout(parts).capture(order_id, CaptureInput(wanted or held))
    payment = await latest(parts, payment)
    if payment.captured:
        return _captured(payment, wanted)
    if answer is Answer.REFUSED:
        raise _being_captured()
    if payment.state is not State.AUTHORIZED or answer is not Answer.TAKEN_ON:
        raise _nothing_held(payment)
    response.status_code = 202
    return payment_view(payment)


@router.post(
    "/{order_id}/cancel",
    summary="Call the order off before its money is taken",
    responses={
        202: UNDER_WAY,
        **documented(
            Kind.INVALID_REQUEST,
            Kind.NOT_FOUND,
            Kind.NOT_CANCELABLE,
        ),
    },
)
async def cancel(
    order_id: OrderIdPath,
    parts: WithParts,
    response: Response,
    body: CancelRequest | None = None,
) -> PaymentView:
    """What is held is released, and what was done for the order is undone. Safe to repeat: a
    canceled order answers as it is."""
    payment = await find_payment(parts, order_id)
    if payment.order_state is OrderState.CANCELED:
        return payment_view(payment)
    reason = body.reason if body is not None else None
    answer = await Checkout(parts).cancel(order_id, CancelInput(reason))
    payment = await latest(parts, payment)
    if payment.order_state is OrderState.CANCELED:
        return payment_view(payment)
    if answer is not Answer.TAKEN_ON and (payment.captured or answer is Answer.REFUSED):
        raise _taken(payment)
    if answer is Answer.ENDED:
        raise _nothing_to_cancel(payment)
    response.status_code = 202
    return payment_view(payment)


def _wanted(parts: Parts, body: CaptureRequest | None, payment: Payment) -> Money | None:
    if body is None or body.amount is None:
        return None
    amount = Money.from_decimal(body.amount, payment.amount.currency)
    parts.gateway.check_part(amount)
    return amount


def _captured(payment: Payment, wanted: Money | None) -> PaymentView:
    taken = payment.amount.of(payment.captured)
    if taken != (wanted or payment.amount.of(payment.authorized)):
        raise ProblemError(
            Kind.NOT_CAPTURABLE,
            f"{taken} was captured, and an order is captured once. To give money back, refund it.",
            extra={"captured": f"{taken.to_decimal():f}", "links": _refunds(payment)},
        )
    return payment_view(payment)


def _being_captured() -> ProblemError:
    return ProblemError(
        Kind.NOT_CAPTURABLE,
        "Another amount is being captured, and an order is captured once. To give money back, "
        "refund it.",
    )


def _nothing_held(payment: Payment) -> ProblemError:
    return ProblemError(
        Kind.NOT_CAPTURABLE,
        f"The order is {payment.order_state}, its payment {payment.state}: nothing to take.",
    )


def _taken(payment: Payment) -> ProblemError:
    taken = payment.amount.of(payment.captured)
    what = f"{taken} was captured already" if payment.captured else "The money is being captured"
    return ProblemError(
        Kind.NOT_CANCELABLE,
        f"{what}: refund it instead. Nothing was done.",
        extra={"links": _refunds(payment)},
    )


def _nothing_to_cancel(payment: Payment) -> ProblemError:
    return ProblemError(
        Kind.NOT_CANCELABLE,
        f"The order is {payment.order_state}, its payment {payment.state}, and nobody works on it."
        if payment.attempts
        else "No payment of this order was started: nothing is held, and nothing will be taken.",
    )


def _refunds(payment: Payment) -> dict[str, str]:
    return {"refunds": f"/api/payment/{payment.order_id}/refunds"}
