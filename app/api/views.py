"""From a payment to what storefronts are told of it."""

from collections.abc import Sequence

from app.api.schemas import (
    AttemptView,
    DisputeView,
    FeeView,
    Links,
    MethodView,
    NextActionView,
    PaymentStatus,
    PaymentView,
    RefundLinks,
    RefundView,
    TimelineRow,
    UnknownView,
)
from app.domain.facts import Fact, PaymentMethod
from app.domain.money import Money
from app.domain.payment import Payment, State
from app.domain.reversals import Dispute, Refund
from app.domain.timeline import describe
from app.domain.unknown import UnknownOutcome


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


def payment_status(
    payment: Payment, facts: Sequence[Fact], unknown: Sequence[UnknownOutcome]
) -> PaymentStatus:
    """All there is to know, and what is not known."""
    checks = [one.next_check_at for one in unknown if one.next_check_at is not None]
    return PaymentStatus(
        **payment_view(payment).model_dump(),
        authorized=_decimal(payment, payment.authorized),
        captured=_decimal(payment, payment.captured),
        refunded=_decimal(payment, payment.refunded),
        refunds_pending=_decimal(payment, payment.refunds_pending),
        disputed=_decimal(payment, payment.disputed),
        refundable=refundable(payment),
        fees=[
            _fee_view(fee)
            for fee in sorted(payment.fees.values(), key=lambda fee: (fee.currency, fee.minor))
        ],
        capture_before=payment.capture_before if payment.state is State.AUTHORIZED else None,
        needs_attention=sorted(payment.attention),
        next_check_at=min(checks, default=None),
        unknown=[
            UnknownView(
                operation=one.operation,
                refund_id=one.refund or None,
                since=one.since,
                next_check_at=one.next_check_at,
            )
            for one in unknown
        ],
        refunds=refund_views(payment),
        disputes=[_dispute_view(payment, dispute) for dispute in payment.disputes.values()],
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


def refund_view(payment: Payment, refund: Refund) -> RefundView:
    """One refund of `payment`."""
    home = f"/api/payment/{payment.order_id}"
    return RefundView(
        refund_id=refund.name,
        order_id=payment.order_id,
        amount=_decimal(payment, refund.amount),
        currency=payment.amount.currency,
        status=refund.state,
        reason=refund.reason,
        failure=refund.failure,
        gateway_refund_id=refund.reference,
        requested_at=refund.requested_at,
        links=RefundLinks(self=f"{home}/refunds/{refund.name}", payment=home),
    )


def refund_views(payment: Payment) -> list[RefundView]:
    """Every refund of `payment`, the oldest first."""
    oldest_first = sorted(payment.refunds.values(), key=lambda r: (r.requested_at, r.name))
    return [refund_view(payment, refund) for refund in oldest_first]


def refundable(payment: Payment) -> str:
    """What can still be refunded, as a decimal."""
    return _decimal(payment, max(payment.refundable, 0))


def _dispute_view(payment: Payment, dispute: Dispute) -> DisputeView:
    return DisputeView(
        dispute_id=dispute.dispute_id,
        amount=_decimal(payment, dispute.amount),
        status=dispute.state,
        reason=dispute.reason,
        evidence_due_by=dispute.evidence_due_by,
    )


def _fee_view(fee: Money) -> FeeView:
    return FeeView(amount=f"{fee.to_decimal():f}", currency=fee.currency)


def _decimal(payment: Payment, minor: int) -> str:
    return f"{payment.amount.of(minor).to_decimal():f}"


def _method(method: PaymentMethod | None) -> MethodView | None:
    return MethodView(type=method.type, brand=method.brand, last4=method.last4) if method else None
