"""Comparing one thing on both sides."""

import hashlib
from datetime import datetime

from app.activities.learnt import now
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import (
    Gateway,
    GatewayDispute,
    GatewayEvent,
    GatewayMovement,
    GatewayPayment,
    GatewayRefund,
    RefusedError,
    UnreadableError,
)
from app.domain.learn import RECONCILED
from app.domain.payment import Payment
from app.domain.reconciliation import (
    Figures,
    Finding,
    Kind,
    Ours,
    Verdict,
    dispute_here,
    dispute_there,
    fee_here,
    fee_there,
    is_under_way,
    payment_here,
    payment_there,
    refund_here,
    refund_there,
    verdict,
)
from app.domain.records import Records
from app.domain.reversals import RefundState

_WORTH_TELLING = frozenset({Verdict.DIFFERS, Verdict.MISSING_HERE})

Seen = GatewayPayment | GatewayRefund | GatewayDispute
Judged = tuple[Finding, GatewayEvent | None]
"""What was found, and the news for our workflows where we had missed something."""


class Comparing:
    """The gateway's books, and ours."""

    def __init__(self, gateway: Gateway, records: Records) -> None:
        self._gateway = gateway
        self._records = records

    async def judged(self, seen: Seen) -> Judged:
        """One thing that the gateway has, and the news that follows from it."""
        named = seen.order_id if isinstance(seen, GatewayPayment) else None
        kind, reference, theirs = _there(seen)
        order_id, payment = await self._whose(seen.transaction_id, named)
        if order_id is None and not isinstance(seen, GatewayPayment):
            try:
                order_id, payment = await self._whose_is_it(seen.transaction_id)
            except UnreadableError:
                return _unreadable(kind, reference, seen.transaction_id), None
        if order_id is None or payment is None:
            foreign = Finding(kind, reference, Verdict.FOREIGN, transaction_id=seen.transaction_id)
            return foreign, None
        ours, under_way = _here(payment, seen), False
        if isinstance(seen, GatewayPayment) and seen.created_at is not None:
            under_way = is_under_way(payment, seen.created_at, now())
        finding = Finding(
            kind,
            reference,
            verdict(kind, ours, theirs, under_way=under_way),
            order_id,
            seen.transaction_id,
            ours or (),
            theirs,
        )
        if finding.verdict not in _WORTH_TELLING or _is_of_another(payment, seen):
            return finding, None
        return finding, _news(finding, payment, seen, self._gateway.name, now())

    async def look(self, wanted: Ours, transaction_id: str | None = None) -> Judged:
        """One thing that we have, as the gateway has it now."""
        payment = await self._records.find_payment(wanted.order_id)
        if payment is None:
            raise LookupError(f"order {wanted.order_id} is gone")
        transaction_id = transaction_id or payment.transaction_id or ""
        try:
            seen = await self._look_up(wanted, transaction_id)
        except UnreadableError:
            return _unreadable(wanted.kind, wanted.reference, transaction_id, wanted.order_id), None
        if seen is not None:
            return await self.judged(seen)
        ours, under_way = _ours(payment, wanted), False
        refund = payment.refunds.get(wanted.reference)
        if refund is not None:  # asked for, and not made yet: it has a workflow of its own
            under_way = refund.reference is None and refund.state is RefundState.PENDING
        finding = Finding(
            wanted.kind,
            wanted.reference,
            verdict(wanted.kind, ours, None, under_way=under_way),
            wanted.order_id,
            transaction_id,
            ours or (),
        )
        return finding, None

    async def fee(self, movement: GatewayMovement) -> Finding:
        """What a movement of our balance cost, or brought back. What we did not know is kept: it
        comes after its charge, and nobody else would ask for it."""
        order_id, payment = await self._whose(movement.transaction_id or "", None)
        theirs, kind, reference = fee_there(movement), Kind.FEE, movement.movement_id
        if order_id is None or payment is None:
            return Finding(kind, reference, Verdict.FOREIGN, transaction_id=movement.transaction_id)
        ours = fee_here(payment, reference)
        if ours is None:
            await self._keep_fee(order_id, movement)
            ours = theirs
        judged = verdict(kind, ours, theirs)
        return Finding(kind, reference, judged, order_id, movement.transaction_id, ours, theirs)

    async def _keep_fee(self, order_id: str, movement: GatewayMovement) -> None:
        if movement.fee < 0:
            await self._records.keep_account_movements([movement])
            return
        fact = Fact(
            Event.FEE_CHARGED,
            movement.created_at,
            Source.RECONCILIATION,
            amount=movement.fee,
            reference=movement.movement_id,
            currency=movement.currency,
        )
        await self._records.append(order_id, [fact])

    async def _look_up(self, wanted: Ours, transaction_id: str) -> Seen | None:
        try:
            if wanted.kind is Kind.PAYMENT:
                since = now()  # by its id: it matters not since when
                return await self._gateway.look_up(wanted.order_id, wanted.reference, since)
            if wanted.kind is Kind.REFUND:
                if not transaction_id:
                    return None
                return await self._gateway.look_up_refund(transaction_id, wanted.reference)
            return await self._gateway.look_up_dispute(wanted.reference)
        except RefusedError:  # it knows none of that id
            return None

    async def _whose(
        self, transaction_id: str, named: str | None
    ) -> tuple[str | None, Payment | None]:
        """The order that the payment was made for, or else the one that it names."""
        order_id = await self._records.find_order_paid_by(transaction_id) or named
        payment = await self._records.find_payment(order_id) if order_id is not None else None
        return order_id, payment

    async def _whose_is_it(self, transaction_id: str) -> tuple[str | None, Payment | None]:
        """Of a payment that we have no record of: only the gateway can say."""
        seen = await self._look_up(Ours(Kind.PAYMENT, transaction_id, ""), transaction_id)
        named = seen.order_id if isinstance(seen, GatewayPayment) else None
        return await self._whose(transaction_id, named)


def _there(seen: Seen) -> tuple[Kind, str, Figures]:
    if isinstance(seen, GatewayPayment):
        return Kind.PAYMENT, seen.transaction_id, payment_there(seen)
    if isinstance(seen, GatewayRefund):
        return Kind.REFUND, seen.refund_id, refund_there(seen)
    return Kind.DISPUTE, seen.dispute_id, dispute_there(seen)


def _here(payment: Payment, seen: Seen) -> Figures | None:
    if isinstance(seen, GatewayPayment):
        return payment_here(payment, seen.transaction_id)
    if isinstance(seen, GatewayRefund):
        return refund_here(payment, seen.refund_id, seen.name)
    return dispute_here(payment, seen.dispute_id)


def _ours(payment: Payment, wanted: Ours) -> Figures | None:
    if wanted.kind is Kind.PAYMENT:
        return payment_here(payment, wanted.reference)
    if wanted.kind is Kind.REFUND:
        return refund_here(payment, wanted.reference, wanted.reference)
    return dispute_here(payment, wanted.reference)


def _unreadable(
    kind: Kind, reference: str, transaction_id: str, order_id: str | None = None
) -> Finding:
    return Finding(kind, reference, Verdict.UNREADABLE, order_id, transaction_id)


def _is_of_another(payment: Payment, seen: Seen) -> bool:
    """Whether it takes back the money of a gateway payment that is not the order's."""
    reversal = not isinstance(seen, GatewayPayment)
    return reversal and seen.transaction_id not in payment.transaction_ids


def _news(
    finding: Finding, payment: Payment, seen: Seen, gateway: str, at: datetime
) -> GatewayEvent:
    """What the gateway would have reported. The same difference makes the same event. Where our own
    payment is not captured here, it is only a hint to look it up."""
    ours = payment.transaction_id in (None, seen.transaction_id)
    hint = isinstance(seen, GatewayPayment) and ours and not payment.captured
    digest = hashlib.sha256(str(finding).encode()).hexdigest()[:16]
    return GatewayEvent(
        gateway=gateway,
        event_id=f"{RECONCILED}-{finding.reference}-{digest}",
        type=RECONCILED,
        order_id=payment.order_id,
        created_at=at,
        payment=seen if isinstance(seen, GatewayPayment) and not hint else None,
        refund=seen if isinstance(seen, GatewayRefund) else None,
        dispute=seen if isinstance(seen, GatewayDispute) else None,
    )
