"""From a payment to what storefronts are told of it."""

from collections.abc import Sequence

from app.api.schemas import (
    AttemptView,
    Links,
    MethodView,
    NextActionView,
    PaymentStatus,
    PaymentView,
    TimelineRow,
)
from app.domain.facts import Fact, PaymentMethod
from app.domain.payment import Payment, State
from app.domain.timeline import describe


def payment_view(payment: Payment) -> PaymentView:
    """Payment confirmation details."""
    attempt = payment.attempt
    action = attempt.next_action if attempt and payment.state is State.REQUIRES_ACTION else None
    return PaymentView(
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        status=payment.state,
        order_status=payment.order_state,
        amount=_decimal(payment, payment.amount.minor),
        currency=payment.amount.currency,
        transaction_id=payment.transaction_id,
        payment_method=_method(attempt.method if attempt else None),
        next_action=NextActionView(
            type=action.type, url=action.url, client_secret=action.client_secret
        )
        if action
        else None,
        links=Links(self=f"/api/payment/{payment.order_id}"),
    )


def payment_status(payment: Payment, facts: Sequence[Fact]) -> PaymentStatus:
    """All there is to know."""
    return PaymentStatus(
        **payment_view(payment).model_dump(),
        authorized=_decimal(payment, payment.authorized),
        captured=_decimal(payment, payment.captured),
        refunded=_decimal(payment, payment.refunded),
        needs_attention=sorted(payment.attention),
        attempts=[
            AttemptView(
                number=number,
                status=attempt.state,
                payment_method=_method(attempt.method),
                transaction_id=attempt.transaction_id,
                decline_code=attempt.decline.code if attempt.decline else None,
            )
            for number, attempt in sorted(payment.attempts.items())
        ],
        timeline=[
            TimelineRow(
                at=fact.at,
                event=fact.event,
                source=fact.source,
                summary=describe(fact, payment.amount),
            )
            for fact in facts
        ],
    )


def _decimal(payment: Payment, minor: int) -> str:
    return f"{payment.amount.of(minor).to_decimal():f}"


def _method(method: PaymentMethod | None) -> MethodView | None:
    return MethodView(type=method.type, brand=method.brand, last4=method.last4) if method else None
