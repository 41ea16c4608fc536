"""The steps of a payment that touch the gateway. Each keeps the facts that it learns."""

from dataclasses import dataclass, field
from datetime import datetime

from temporalio import activity

from app.activities.failures import reported
from app.activities.learnt import Learnt, keep, now
from app.activities.refunds import refund_key
from app.domain.facts import Decline, Event, Fact, NextAction, PaymentMethod, Source
from app.domain.gateway import (
    AuthorizeRequest,
    Gateway,
    GatewayPayment,
    OutcomeUnknownError,
    RefusedError,
    Status,
    UnavailableError,
)
from app.domain.learn import learn, learn_refund
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.payment import Payment, State
from app.domain.records import Records
from app.domain.reversals import refund_name

_UNSENT = "unsent"
_CAN_BE_OVER = (Status.AUTHORIZED, Status.CAPTURED, Status.VOIDED)


@dataclass(frozen=True)
class AuthorizeInput:
    """One try at an authorization. `transaction_id` continues an earlier declined try.
    `customer_id` is the storefront's; `token` is empty where the method needs none."""

    order_id: str
    amount: Money
    attempt: int
    token: str
    method: PaymentMethod
    transaction_id: str | None = None
    return_url: str | None = None
    idempotency_key: str | None = None
    customer_id: str | None = None
    save: bool = False
    off_session: bool = False
    billing_country: str | None = None


@dataclass(frozen=True)
class LookUpInput:
    """`since` is when the order's first attempt may have reached the gateway. `old_declines` are
    answers to earlier tries, and `old_actions` what they asked for: where the gateway shows one of
    them, it tells nothing of this try."""

    order_id: str
    attempt: int
    since: datetime
    transaction_id: str | None = None
    old_declines: list[Decline] = field(default_factory=list)
    old_actions: list[NextAction] = field(default_factory=list)


@dataclass(frozen=True)
class MoneyInput:
    """Capture or void. `number` counts the keys: a new one only after a look-up."""

    order_id: str
    transaction_id: str
    amount: Money
    number: int
    attempt: int


@dataclass(frozen=True)
class ReleaseInput:
    """What to give back: this gateway payment or, where none is named, whichever the order has had
    `since` its first attempt."""

    order_id: str
    since: datetime
    attempt: int
    transaction_id: str | None = None


@dataclass(frozen=True)
class LearnInput:
    """Facts that the workflow itself has to tell."""

    order_id: str
    facts: list[Fact]


class PaymentActivities:
    """The gateway and the records, as Temporal asks for them."""

    def __init__(self, gateway: Gateway, records: Records) -> None:
        self._gateway = gateway
        self._records = records

    @activity.defn
    async def authorize_payment(self, try_: AuthorizeInput) -> Learnt:
        """Hold the money. A decline is an answer, not a failure."""
        async with reported():
            await self._records.append(
                try_.order_id,
                [
                    Fact(
                        Event.ATTEMPTED,
                        now(),
                        Source.WORKFLOW,
                        attempt=try_.attempt,
                        method=try_.method,
                        idempotency_key=try_.idempotency_key,
                    )
                ],
            )
            # The try before this one is known to have left nothing at the gateway.
            info = activity.info()
            unsent = info.attempt == 1 or list(info.heartbeat_details) == [
                _UNSENT,
                info.attempt - 1,
            ]
            try:
                seen = await self._gateway.authorize(
                    await self._request(try_), key=f"{try_.order_id}:authorize:{try_.attempt}"
                )
            except RefusedError as refusal:
                if not unsent:
                    raise OutcomeUnknownError(
                        f"{refusal}; an earlier try may have arrived"
                    ) from None
                fact = Fact(
                    Event.FAILED,
                    now(),
                    Source.GATEWAY,
                    attempt=try_.attempt,
                    decline=Decline(refusal.code, refusal.message),
                )
                return await self._keep(try_.order_id, [fact])
            except UnavailableError as error:
                if not unsent:
                    raise OutcomeUnknownError(f"{error}; an earlier try may have arrived") from None
                activity.heartbeat(_UNSENT, info.attempt)
                raise
            return await self._keep(
                try_.order_id,
                learn(seen, source=Source.GATEWAY, at=now(), attempt=try_.attempt),
                seen,
            )

    @activity.defn
    async def look_up_payment(self, ask: LookUpInput) -> Learnt:
        """Ask the gateway how the payment stands: it is the truth."""
        async with reported():
            seen = await self._gateway.look_up(ask.order_id, ask.transaction_id, ask.since)
            if seen is None or seen.decline in ask.old_declines:
                return Learnt([])
            if seen.order_id != ask.order_id:
                message = f"{seen.transaction_id} was not made for this order"
                raise RefusedError("another_order", message)
            if seen.next_action in ask.old_actions:
                return Learnt([])
            facts = learn(seen, source=Source.LOOK_UP, at=now(), attempt=ask.attempt)
            return await self._keep(ask.order_id, facts, seen)

    @activity.defn
    async def capture_payment(self, ask: MoneyInput) -> Learnt:
        """Take the held money."""
        async with reported():
            seen = await self._gateway.capture(
                ask.transaction_id, ask.amount, key=f"{ask.order_id}:capture:{ask.number}"
            )
            return await self._answered(ask, seen)

    @activity.defn
    async def void_payment(self, ask: MoneyInput) -> Learnt:
        """Release the held money."""
        async with reported():
            seen = await self._gateway.void(
                ask.transaction_id, key=f"{ask.order_id}:void:{ask.number}"
            )
            return await self._answered(ask, seen)

    @activity.defn
    async def release_payment(self, ask: ReleaseInput) -> Learnt:
        """Give back whatever the gateway holds or took that the order has no use for: its checkout
        is over, or another payment was taken for it."""
        async with reported():
            try:
                return await self._release(ask)
            except RefusedError as refusal:
                reason = f"{ask.transaction_id or 'a payment'} could not be given back: {refusal}"
                fact = Fact(Event.FLAGGED, now(), Source.GATEWAY, reason=reason)
                return await self._keep(ask.order_id, [fact])

    @activity.defn
    async def record_facts(self, told: LearnInput) -> None:
        """Keep what the workflow has to tell."""
        async with reported():
            await self._records.append(told.order_id, told.facts)

    async def _request(self, try_: AuthorizeInput) -> AuthorizeRequest:
        """With what stays out of the workflow: who the shopper is, and from where they allow it."""
        order = await self._records.find_order(try_.order_id)
        return AuthorizeRequest(
            order_id=try_.order_id,
            amount=try_.amount,
            method=Method(try_.method.type),
            token=try_.token or None,
            transaction_id=try_.transaction_id,
            return_url=try_.return_url,
            customer=await self._customer(try_.customer_id),
            save=try_.save,
            off_session=try_.off_session,
            billing_country=try_.billing_country,
            email=order.customer_email if order is not None else None,
            mandate=order.mandate if order is not None else None,
        )

    async def _customer(self, customer_id: str | None) -> str | None:
        """The gateway's id of the customer, who is made there at first."""
        if customer_id is None:
            return None
        known = await self._records.find_customer(customer_id)
        if known is not None:
            return known
        try:
            made = await self._gateway.create_customer(customer_id, key=f"customer:{customer_id}")
        except OutcomeUnknownError as error:  # a customer is no money: nothing was authorized
            raise UnavailableError(str(error)) from None
        return await self._records.keep_customer(customer_id, made)

    async def _release(self, ask: ReleaseInput) -> Learnt:
        seen = await self._gateway.look_up(ask.order_id, ask.transaction_id, ask.since)
        if seen is None or seen.status not in _CAN_BE_OVER:
            return Learnt([], seen)
        payment = await self._records.find_payment(ask.order_id)
        ours = payment is not None and payment.transaction_id in (None, seen.transaction_id)
        gone = payment.captured - payment.left if payment is not None and ours else 0
        key = f"{ask.order_id}:release:{seen.transaction_id}"
        if not seen.captured:
            if seen.status is Status.VOIDED and ours and _is_voided(payment):
                return Learnt([], seen)  # as we know
            before = seen
            if seen.status is not Status.VOIDED:  # else an earlier try voided it, unrecorded
                seen = await self._gateway.void(seen.transaction_id, key=key)
            if seen.status is Status.VOIDED:
                released = Fact(Event.VOIDED, now(), Source.GATEWAY, reference=seen.transaction_id)
                return await self._released(ask, before, released, ours=ours)
            if not seen.captured:
                raise OutcomeUnknownError(f"{seen.transaction_id} is {seen.status} still")
        if gone >= seen.captured:
            return Learnt([], seen)
        name = refund_name(ask.order_id, f"release {seen.transaction_id}")
        refund = await self._gateway.refund(
            ask.order_id,
            seen.transaction_id,
            seen.amount.of(seen.captured - gone),
            name,
            refund_key(ask.order_id, name),
        )
        released = learn_refund(refund, source=Source.GATEWAY, at=now())
        return await self._released(ask, seen, released, ours=ours)

    async def _released(
        self, ask: ReleaseInput, seen: GatewayPayment, released: Fact, *, ours: bool
    ) -> Learnt:
        reason = f"{seen.transaction_id} came too late or twice: {released.event}"
        facts = [Fact(Event.FLAGGED, now(), Source.GATEWAY, reason=reason)]
        if ours:
            facts += learn(seen, source=Source.LOOK_UP, at=now(), attempt=ask.attempt)
            facts.append(released)
        return await self._keep(ask.order_id, facts, seen)

    async def _answered(self, ask: MoneyInput, seen: GatewayPayment) -> Learnt:
        facts = learn(seen, source=Source.GATEWAY, at=now(), attempt=ask.attempt)
        return await self._keep(ask.order_id, facts, seen)

    async def _keep(
        self, order_id: str, facts: list[Fact], seen: GatewayPayment | None = None
    ) -> Learnt:
        return await keep(self._records, order_id, facts, seen)


def _is_voided(payment: Payment | None) -> bool:
    return payment is not None and payment.state is State.VOIDED
