"""One order's payment, from the first attempt to the fulfilled order or the money given back."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from app.activities.failures import Failure
    from app.activities.fulfilment import StepInput, undo_name
    from app.activities.payment import (
        AuthorizeInput,
        LearnInput,
        Learnt,
        LookUpInput,
        MoneyInput,
        PaymentActivities,
        ReleaseInput,
    )
    from app.domain.facts import Decline, Event, Fact, PaymentMethod, Source
    from app.domain.fulfilment import Phase, StepPlan
    from app.domain.gateway import GatewayEvent, GatewayPayment, Status
    from app.domain.learn import learn
    from app.domain.money import Money
    from app.domain.order import Capture
    from app.domain.payment import (
        BEFORE_MONEY,
        CLOSED,
        IN_FLIGHT,
        MAY_TRY_AGAIN,
        OrderState,
        Payment,
        State,
    )
    from app.domain.payment import apply as apply_fact
    from app.temporal import names, policies
    from app.workflows.details import details

# An authorization that the gateway does not know this long after we sent it never arrived.
ABSENCE_PROVEN_AFTER = timedelta(seconds=60)
FIRST_LOOK = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_MONEY_PAUSE = timedelta(hours=1)
LONGEST_BANK_PAUSE = timedelta(hours=12)

_MONEY = frozenset({Status.AUTHORIZED, Status.CAPTURED})
_NO_MONEY = frozenset({Status.NOTHING, Status.DECLINED, Status.REQUIRES_ACTION})


@dataclass(frozen=True)
class AttemptInput:
    """A request to pay. `token` is the gateway's; a card never comes here."""

    number: int
    token: str
    method: PaymentMethod
    return_url: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class PaymentInput:
    """An order to be paid and fulfilled."""

    order_id: str
    amount: Money
    gateway: str
    capture: Capture
    plan: list[StepPlan]
    attempt: AttemptInput
    expiry_seconds: float
    grace_seconds: float


@dataclass
class _Inbox:
    """What arrived and has not been taken in yet."""

    attempts: deque[AttemptInput] = field(default_factory=deque)
    events: deque[GatewayEvent] = field(default_factory=deque)
    known_attempts: set[int] = field(default_factory=set)
    known_events: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.attempts or self.events)


@workflow.defn
class PaymentWorkflow:
    """Authorize, confirm, capture, fulfil; or give the money back."""

    @workflow.init
    def __init__(self, order: PaymentInput) -> None:
        self._order = order
        self._payment = Payment(order.order_id, order.amount)
        self._inbox = _Inbox()
        self._expires_at = workflow.now() + timedelta(seconds=order.expiry_seconds)
        self._capture_asked = order.capture is Capture.AUTOMATIC
        self._unusable: str | None = None
        self._unknown_since: datetime | None = None
        self._looks = 0
        self._ended = False
        self._queue(order.attempt)

    @workflow.run
    async def run(self, order: PaymentInput) -> str:
        if not await self._authorized_and_confirmed():
            await self._close_checkout()
        elif (
            await self._steps_done(Phase.BEFORE_CAPTURE)
            and await self._captured()
            and await self._steps_done(Phase.AFTER_CAPTURE)
        ):
            await self._tell(Event.FULFILLED)
        else:
            await self._give_the_money_back()
        await self._finish()
        return self._payment.state

    # What may arrive.

    @workflow.update
    async def initiate(self, attempt: AttemptInput) -> None:
        """Pay, or try again after a decline. Returns once the attempt has an answer."""
        self._queue(attempt)
        await workflow.wait_condition(lambda: self._ended or self._answered(attempt.number))

    @workflow.update
    async def capture(self) -> None:
        """Take the held money now (manual capture). Returns once it is taken or given back."""
        self._capture_asked = True
        await workflow.wait_condition(
            lambda: self._ended or bool(self._payment.captured) or self._payment.state in CLOSED
        )

    @workflow.signal
    def gateway_event(self, event: GatewayEvent) -> None:
        """The gateway reported something. Repeated news is dropped here."""
        name = f"{event.gateway}:{event.event_id}"
        if name not in self._inbox.known_events:
            self._inbox.known_events.add(name)
            self._inbox.events.append(event)

    def _queue(self, attempt: AttemptInput) -> None:
        """Queue an attempt unless it is known."""
        if attempt.number not in self._inbox.known_attempts:
            self._inbox.known_attempts.add(attempt.number)
            self._inbox.attempts.append(attempt)

    # Authorization and confirmation.

    async def _authorized_and_confirmed(self) -> bool:
        """False when the checkout is over: out of time, voided at the gateway, or unusable."""
        while not self._payment.confirmed:
            if self._payment.state in CLOSED or self._unusable:
                return False
            if self._inbox:
                await self._take_in_next()
                continue
            patience = self._patience()
            if patience is None:
                return False
            try:
                await workflow.wait_condition(
                    lambda: bool(self._inbox), timeout=patience, timeout_summary=self._awaited()
                )
            except TimeoutError:
                if self._payment.state not in MAY_TRY_AGAIN:
                    self._looks += 1
                    await self._look_up()
        return not self._unusable

    def _patience(self) -> timedelta | None:
        """How long to wait before asking the gateway ourselves; None when the time is up."""
        left = self._expires_at - workflow.now()
        growth = float(2 ** min(self._looks, 12))
        grace = timedelta(seconds=self._order.grace_seconds)
        match self._payment.state:
            case State.UNKNOWN:
                return min(FIRST_LOOK * growth, LONGEST_PAUSE)
            case State.AUTHORIZED | State.CAPTURED:
                return min(grace * growth, LONGEST_PAUSE)
            case State.PROCESSING:
                return min(grace * growth, LONGEST_BANK_PAUSE)
            case State.REQUIRES_ACTION if left > timedelta():
                return min(grace * growth, LONGEST_PAUSE, left)
            case _:
                return left if left > timedelta() else None

    async def _take_in_next(self) -> None:
        """Events first: one may tell that another attempt would be one too many."""
        if self._inbox.events:
            await self._take_in(self._inbox.events.popleft())
        else:
            await self._attempt(self._inbox.attempts.popleft())

    async def _attempt(self, attempt: AttemptInput) -> None:
        if self._payment.attempts and self._payment.state not in MAY_TRY_AGAIN:
            return  # the attempt before it brought the money
        self._looks = 0
        self._learn(
            [
                Fact(
                    Event.ATTEMPTED,
                    workflow.now(),
                    Source.WORKFLOW,
                    attempt=attempt.number,
                    method=attempt.method,
                )
            ]
        )
        try:
            learnt = await workflow.execute_activity_method(
                PaymentActivities.authorize_payment,
                AuthorizeInput(
                    order_id=self._order.order_id,
                    amount=self._order.amount,
                    attempt=attempt.number,
                    token=attempt.token,
                    method=attempt.method,
                    transaction_id=self._payment.transaction_id,
                    return_url=attempt.return_url,
                    idempotency_key=attempt.idempotency_key,
                ),
                summary=f"Hold {self._order.amount} on {attempt.method}, attempt {attempt.number}",
                **policies.AUTHORIZE,
            )
        except ActivityError as error:
            if _failure(error) == Failure.UNAVAILABLE:
                await self._tell(
                    Event.FAILED,
                    attempt=attempt.number,
                    decline=Decline("gateway_unavailable", "The payment could not be started."),
                )
            else:
                await self._outcome_unknown(attempt.number)
            return
        await self._adopt(learnt)
        if self._payment.state is State.INITIATED:  # an answer that tells nothing
            await self._outcome_unknown(attempt.number)

    async def _outcome_unknown(self, attempt: int) -> None:
        self._unknown_since = workflow.now()
        await self._tell(Event.OUTCOME_UNKNOWN, attempt=attempt)

    async def _take_in(self, event: GatewayEvent) -> None:
        """One callback: adopted if it is plainly news of our payment, else a reason to look."""
        seen, known = event.payment, self._payment
        over = known.order_state is OrderState.CANCELED
        if seen is None:
            if over and not known.captured:
                await self._release(known.transaction_id)
            elif not known.captured:
                await self._look_up()
            return
        if known.transaction_id not in (None, seen.transaction_id):
            await self._release(seen.transaction_id)
            return
        facts = learn(
            seen, source=Source.CALLBACK, at=workflow.now(), attempt=self._latest_attempt()
        )
        if seen.status in _MONEY and not known.confirmed:
            facts.append(Fact(Event.CONFIRMED, workflow.now(), Source.CALLBACK))
        if not self._is_news(facts):
            return
        if over:
            await self._release(seen.transaction_id)
        elif seen.status in _MONEY:
            await self._record(facts)
            await self._check_amount(seen)
        else:
            await self._look_up()

    async def _look_up(self) -> None:
        """Ask the gateway how things stand, and believe it."""
        try:
            learnt = await workflow.execute_activity_method(
                PaymentActivities.look_up_payment,
                LookUpInput(
                    order_id=self._order.order_id,
                    attempt=self._latest_attempt(),
                    since=workflow.info().start_time,
                    transaction_id=self._payment.transaction_id,
                    old_declines=self._old_declines(),
                ),
                summary="No news: ask the gateway how the payment stands",
                **policies.LOOK_UP,
            )
        except ActivityError as error:
            await self._tell(Event.FLAGGED, reason=f"the gateway tells us nothing: {error.cause}")
            return
        await self._adopt(learnt)
        if self._payment.state in (State.AUTHORIZED, State.CAPTURED):
            if not self._payment.confirmed:
                await self._tell(Event.CONFIRMED, source=Source.LOOK_UP)
        elif self._payment.state is State.UNKNOWN and self._absence_is_proven():
            await self._tell(
                Event.FAILED,
                attempt=self._latest_attempt(),
                decline=Decline("not_charged", "The payment did not go through."),
            )

    def _old_declines(self) -> list[Decline]:
        """What the gateway may still show although the latest attempt has not arrived yet."""
        if self._payment.state is not State.UNKNOWN:
            return []
        latest = self._latest_attempt()
        tried = self._payment.attempts.values()
        return [t.decline for t in tried if t.decline is not None and t.number != latest]

    def _absence_is_proven(self) -> bool:
        since = self._unknown_since
        return since is not None and workflow.now() - since >= ABSENCE_PROVEN_AFTER

    async def _adopt(self, learnt: Learnt) -> None:
        """Facts that an activity has already put into the records."""
        self._learn(learnt.facts)
        seen = learnt.seen
        if seen is None:
            return
        await self._check_amount(seen)
        if self._payment.state is State.AUTHORIZED and seen.status in _NO_MONEY:
            await self._tell(Event.VOIDED, reason=f"the gateway's payment is {seen.status}")

    async def _check_amount(self, seen: GatewayPayment) -> None:
        """Neither another amount nor a part of it pays for the order."""
        amount = {
            Status.AUTHORIZED: seen.amount.of(seen.authorized),
            Status.CAPTURED: seen.amount.of(seen.captured),
        }.get(seen.status, seen.amount)
        wrong = next((a for a in (seen.amount, amount) if a != self._order.amount), None)
        if wrong is not None and self._unusable is None:
            self._unusable = f"the gateway's payment is for {wrong}"
            await self._tell(Event.FLAGGED, reason=self._unusable)

    # Capture and fulfilment.

    async def _steps_done(self, phase: Phase) -> bool:
        """Run the plan's steps of `phase`. False when an essential one is refused."""
        for step in self._order.plan:
            if step.phase is not phase:
                continue
            learnt: Learnt = await workflow.execute_activity(
                step.name,
                StepInput(self._order.order_id),
                result_type=Learnt,
                summary=f"{step.name.replace('_', ' ').capitalize()} of {self._order.order_id}",
                **policies.FULFIL,
            )
            self._learn(learnt.facts)
            refusal = next((f for f in learnt.facts if f.event is Event.STEP_REFUSED), None)
            if refusal is not None:
                reason = f"{step.name} was refused: {refusal.reason}"
                if step.essential:
                    self._unusable = reason
                    return False
                await self._tell(Event.FLAGGED, reason=reason)
        return True

    async def _captured(self) -> bool:
        """Take the money. False when it is not there to take any more."""
        await self._capture_wanted()
        await self._move_money(
            PaymentActivities.capture_payment,
            f"Take {self._order.amount}",
            lambda: bool(self._payment.captured or self._payment.state in CLOSED or self._unusable),
        )
        return self._payment.captured > 0 and self._unusable is None

    async def _capture_wanted(self) -> None:
        """Wait until the storefront wants the money, or the hold is gone."""
        while (
            not self._capture_asked
            and self._payment.state is State.AUTHORIZED
            and self._unusable is None
        ):
            if self._inbox:
                await self._take_in_next()
                continue
            try:
                await workflow.wait_condition(
                    lambda: self._capture_asked or bool(self._inbox),
                    timeout=self._until_hold_ends(),
                    timeout_summary=self._awaited(),
                )
            except TimeoutError:
                await self._look_up()

    def _until_hold_ends(self) -> timedelta:
        """When to ask whether the money is still held: a lost callback must not be waited for."""
        end = self._payment.capture_before
        if end is None or end <= workflow.now():
            return LONGEST_BANK_PAUSE
        return end - workflow.now() + FIRST_LOOK

    async def _move_money(
        self,
        act: Callable[[PaymentActivities, MoneyInput], Awaitable[Learnt]],
        summary: str,
        done: Callable[[], bool],
    ) -> None:
        """Ask the gateway until it is done, a new key each time a look-up proved that it is not. A
        refusal is final: it is flagged, and what the look-up tells then stands."""
        number = 0
        while not done():
            number += 1
            if number > 1:
                await asyncio.sleep(min(2**number, LONGEST_MONEY_PAUSE.total_seconds()))
            try:
                learnt = await workflow.execute_activity_method(
                    act,
                    self._money(self._order.amount, number),
                    summary=summary,
                    **policies.MOVE_MONEY,
                )
            except ActivityError as error:
                refused = _failure(error) == Failure.REFUSED
                if refused:
                    await self._tell(Event.FLAGGED, reason=f"{summary}: {error.cause}")
                await self._look_up()
                if refused:
                    return
            else:
                await self._adopt(learnt)

    # The ways out.

    async def _close_checkout(self) -> None:
        """No money came in time, or not as it should: leave nothing held at the gateway."""
        reason = self._why_canceled()
        if self._payment.state in BEFORE_MONEY and self._unusable is None:
            await self._tell(Event.EXPIRED)
        await self._release_hold()
        await self._tell(Event.CANCELED, reason=reason)

    async def _give_the_money_back(self) -> None:
        """Undo what was done, last first; then void, or refund what was captured."""
        reason = self._why_canceled()
        for step in reversed(self._order.plan):
            if step.name in self._payment.steps_done:
                await self._undo(step, reason)
        await self._release_hold()
        await self._tell(Event.CANCELED, reason=reason)

    async def _undo(self, step: StepPlan, reason: str | None) -> None:
        """Take one step back. One that cannot be is flagged: the money goes back all the same."""
        words = step.name.replace("_", " ")
        try:
            learnt: Learnt = await workflow.execute_activity(
                undo_name(step.name),
                StepInput(self._order.order_id, reason),
                result_type=Learnt,
                summary=f"Undo {words} of {self._order.order_id}",
                **policies.FULFIL,
            )
        except ActivityError as error:
            await self._tell(Event.FLAGGED, reason=f"{words} was not undone: {error.cause}")
        else:
            self._learn(learnt.facts)

    def _why_canceled(self) -> str | None:
        if self._unusable is None and self._payment.state is State.VOIDED:
            return "the hold was released at the gateway"
        if self._unusable is None and self._payment.state is State.AUTHORIZED:
            return "the money could not be taken"
        return self._unusable

    async def _release_hold(self) -> None:
        """Void, or refund what was captured. An expired checkout may still have a payment open at
        the gateway, which the shopper could yet approve."""
        if self._payment.transaction_id is None:
            return
        await self._move_money(
            PaymentActivities.void_payment,
            f"Release {self._order.amount}",
            lambda: self._payment.state is State.VOIDED or self._payment.captured > 0,
        )
        if self._payment.captured:
            await self._refund()

    async def _refund(self) -> None:
        """Give back all that was captured. One key for ever: a second one could refund twice."""
        pause = LONGEST_PAUSE
        while self._payment.refunded < self._payment.captured:
            amount = self._order.amount.of(self._payment.captured - self._payment.refunded)
            try:
                learnt = await workflow.execute_activity_method(
                    PaymentActivities.refund_payment,
                    self._money(amount, number=1),
                    summary=f"Refund {amount}",
                    **policies.MOVE_MONEY,
                )
            except ActivityError as error:
                if _failure(error) == Failure.REFUSED:
                    await self._tell(Event.FLAGGED, reason=f"no refund of {amount}: {error.cause}")
                    return
                await self._tell(Event.FLAGGED, reason="the refund is not confirmed yet")
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, LONGEST_BANK_PAUSE)
            else:
                self._learn(learnt.facts)

    async def _release(self, transaction_id: str | None) -> None:
        """Money that the order has no use for: it has another payment, or is over."""
        learnt = await workflow.execute_activity_method(
            PaymentActivities.release_payment,
            ReleaseInput(
                self._order.order_id,
                workflow.info().start_time,
                self._latest_attempt(),
                transaction_id,
            ),
            summary=f"Release {transaction_id or 'what came late'}: the order has no use for it",
            **policies.LOOK_UP,
        )
        self._learn(learnt.facts)

    async def _finish(self) -> None:
        """Leave nothing unread and nobody waiting."""
        self._ended = True
        while self._inbox.events or not workflow.all_handlers_finished():
            if self._inbox.events:
                await self._take_in(self._inbox.events.popleft())
            else:
                await workflow.wait_condition(
                    lambda: bool(self._inbox.events) or workflow.all_handlers_finished()
                )

    # Mechanics.

    def _money(self, amount: Money, number: int) -> MoneyInput:
        transaction_id = self._payment.transaction_id
        if transaction_id is None:
            raise ApplicationError("no gateway payment to act on", non_retryable=True)
        return MoneyInput(
            self._order.order_id, transaction_id, amount, number, self._latest_attempt()
        )

    def _latest_attempt(self) -> int:
        return max(self._payment.attempts, default=1)

    def _answered(self, attempt: int) -> bool:
        if self._payment.state not in IN_FLIGHT | MAY_TRY_AGAIN:
            return True
        known = self._payment.attempts.get(attempt)
        return known is not None and known.state not in IN_FLIGHT

    def _is_news(self, facts: list[Fact]) -> bool:
        return any(apply_fact(self._payment, fact) != self._payment for fact in facts)

    async def _tell(
        self,
        event: Event,
        *,
        source: Source = Source.WORKFLOW,
        attempt: int = 0,
        decline: Decline | None = None,
        reason: str | None = None,
    ) -> None:
        fact = Fact(event, workflow.now(), source, attempt=attempt, decline=decline, reason=reason)
        await self._record([fact])

    async def _record(self, facts: list[Fact]) -> None:
        """Facts of the workflow's own: into the records first, then believed."""
        await workflow.execute_local_activity_method(
            PaymentActivities.record_facts,
            LearnInput(self._order.order_id, facts),
            **policies.RECORD,
        )
        self._learn(facts)

    def _learn(self, facts: list[Fact]) -> None:
        before = self._payment
        for fact in facts:
            self._payment = apply_fact(self._payment, fact)
        if self._payment.state != before.state:
            self._looks = 0
        self._show(before)

    def _show(self, before: Payment) -> None:
        """What an operator sees in the Temporal UI."""
        after = self._payment
        updates: list[SearchAttributeUpdate[Any]] = []
        if after.state != before.state:
            updates.append(names.PAYMENT_STATUS.value_set(after.state))
        if bool(after.attention) != bool(before.attention):
            updates.append(names.NEEDS_ATTENTION.value_set(bool(after.attention)))
        if updates:
            workflow.upsert_search_attributes(updates)
        workflow.set_current_details(details(after, self._awaited()))

    def _awaited(self) -> str:
        """What the payment waits for, for the operator."""
        match self._payment.state:
            case State.REQUIRES_ACTION:
                return "the shopper to authenticate"
            case State.UNKNOWN:
                return "a look-up: the gateway did not answer"
            case State.PROCESSING:
                return "the bank"
            case State.DECLINED | State.FAILED:
                return f"another payment method, until {self._expires_at:%H:%M} UTC"
            case State.AUTHORIZED if not self._payment.confirmed:
                return "the gateway's callback"
            case State.AUTHORIZED if not self._capture_asked:
                return "the storefront to capture"
            case _:
                return "nothing from outside"


def _failure(error: ActivityError) -> str | None:
    return error.cause.type if isinstance(error.cause, ApplicationError) else None
