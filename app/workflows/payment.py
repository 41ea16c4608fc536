"""One order's payment, from the first attempt to the fulfilled order or the money given back."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from app.activities.fulfilment import StepInput, undo_name
    from app.activities.learnt import Learnt
    from app.domain.facts import Event, Fact
    from app.domain.fulfilment import Phase, StepPlan
    from app.domain.gateway import GatewayEvent
    from app.domain.order import Capture
    from app.domain.payment import (
        BEFORE_MONEY,
        CLOSED,
        IN_FLIGHT,
        MAY_TRY_AGAIN,
        OPEN_TO_ATTEMPTS,
        Payment,
        State,
    )
    from app.temporal import policies
    from app.workflows.gateway_talk import GatewayTalk
    from app.workflows.giving_back import GivingBack
    from app.workflows.known import Known
    from app.workflows.messages import (
        AttemptInput,
        CancelInput,
        CaptureInput,
        PaymentInput,
        ResolveInput,
    )
    from app.workflows.unknown import jittered

FIRST_LOOK = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_BANK_PAUSE = timedelta(hours=12)
# A manual capture is warned of a day before its hold ends, or halfway where there is less.
CAPTURE_WARNING = timedelta(days=1)
CANCELED_IN_TEMPORAL = "the run was canceled in Temporal"
GONE = "the money went back before the order was fulfilled"


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
        self._known = Known(order, self._awaited)
        self._gateway = GatewayTalk(self._known, self._until)
        self._giving_back = GivingBack(self._known, self._until)
        self._inbox = _Inbox()
        self._expires_at = workflow.now() + timedelta(seconds=order.expiry_seconds)
        self._to_capture = order.amount if order.capture is Capture.AUTOMATIC else None
        self._capture_begun = False
        self._ended = False
        if order.attempt is not None:
            self._queue(order.attempt)

    @workflow.run
    async def run(self, order: PaymentInput) -> str:
        story = asyncio.create_task(self._see_it_through())
        try:
            await asyncio.shield(story)
        except asyncio.CancelledError:
            # Somebody canceled the run in Temporal: money must not stay held for nothing.
            self._known.unusable = self._known.unusable or CANCELED_IN_TEMPORAL
            await story
        return self._payment.state

    async def _see_it_through(self) -> None:
        if not await self._authorized_and_confirmed():
            await self._close_checkout()
        elif (
            await self._steps_done(Phase.BEFORE_CAPTURE)
            and await self._captured()
            and await self._steps_done(Phase.AFTER_CAPTURE)
        ):
            await self._known.tell(Event.FULFILLED)
        else:
            await self._give_the_money_back()
        await self._finish()

    # What may arrive.

    @workflow.update
    async def initiate(self, attempt: AttemptInput) -> None:
        """Pay, or try again after a decline. Returns once the attempt has an answer."""
        self._queue(attempt)
        await workflow.wait_condition(lambda: self._ended or self._answered(attempt.number))

    @workflow.signal
    def attempt_requested(self, attempt: AttemptInput) -> None:
        """The storefront asked for another attempt. A signal is durable at once, an update only
        when a worker has accepted it."""
        self._queue(attempt)

    @workflow.update
    async def capture(self, ask: CaptureInput) -> None:
        """Take the held money now (manual capture). Returns once it is taken or given back."""
        self._to_capture = self._to_capture or ask.amount
        await workflow.wait_condition(
            lambda: self._ended or bool(self._payment.captured) or self._payment.state in CLOSED
        )

    @capture.validator
    def _may_be_captured(self, ask: CaptureInput) -> None:
        if self._to_capture not in (None, ask.amount):
            raise ApplicationError(f"{self._to_capture} is being captured")

    @workflow.update
    async def cancel(self, ask: CancelInput) -> None:
        """Call the order off. Returns once nothing is held any more."""
        because = f": {ask.reason}" if ask.reason else ""
        self._known.unusable = self._known.unusable or f"the storefront canceled it{because}"
        await self._known.tell(Event.CANCEL_REQUESTED, reason=ask.reason)
        await workflow.wait_condition(lambda: self._ended)

    @cancel.validator
    def _may_be_canceled(self, ask: CancelInput) -> None:
        if self._capture_begun or self._payment.captured:
            raise ApplicationError("the money is being taken: refund it")

    @workflow.update
    async def resolve(self, ask: ResolveInput) -> None:
        """An operator decides about an unknown outcome. Returns once a check was made with it."""
        await self._gateway.resolve(ask)

    @resolve.validator
    def _may_be_resolved(self, ask: ResolveInput) -> None:
        if not self._gateway.unknown:
            raise ApplicationError("no outcome is unknown")

    @workflow.signal
    def facts_learnt(self, facts: list[Fact]) -> None:
        """These are in the records by now: of a refund, of a dispute, or of what was looked at."""
        self._known.learn(facts)

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
            if self._payment.state in CLOSED or self._giving_up():
                return False
            if self._payment.state is State.UNKNOWN:  # no other attempt before that is known
                await self._gateway.find_out()
                continue
            if self._inbox:
                await self._take_in_next()
                continue
            patience = self._patience()
            if patience is None:
                return False
            try:
                await workflow.wait_condition(
                    lambda: bool(self._inbox) or self._giving_up(),
                    timeout=patience,
                    timeout_summary=self._awaited(),
                )
            except TimeoutError:
                if self._payment.attempts and self._payment.state not in MAY_TRY_AGAIN:
                    self._known.looks_without_news += 1
                    await self._gateway.look_up()
        return not self._known.unusable

    def _giving_up(self) -> bool:
        """Whether the order cannot go on; not before it is known what an attempt has done."""
        under_way = self._payment.attempts and self._payment.state in IN_FLIGHT
        return self._known.unusable is not None and not under_way

    def _patience(self) -> timedelta | None:
        """How long to wait before asking the gateway ourselves; None when the time is up."""
        left = self._expires_at - workflow.now()
        growth = float(2 ** min(self._known.looks_without_news, 12))
        grace = timedelta(seconds=self._order.grace_seconds)
        match self._payment.state:
            case State.AUTHORIZED | State.CAPTURED:
                return jittered(min(grace * growth, LONGEST_PAUSE))
            case State.PROCESSING:
                return jittered(min(grace * growth, LONGEST_BANK_PAUSE))
            case State.REQUIRES_ACTION if left > timedelta():
                return min(jittered(min(grace * growth, LONGEST_PAUSE)), left)
            case _:
                return left if left > timedelta() else None

    async def _take_in_next(self) -> None:
        """Events first: one may tell that another attempt would be one too many."""
        if self._inbox.events:
            await self._gateway.take_in(self._inbox.events.popleft())
        else:
            await self._gateway.attempt(self._inbox.attempts.popleft())

    # Capture and fulfilment.

    async def _steps_done(self, phase: Phase) -> bool:
        """Run the plan's steps of `phase`. False when an essential one is refused."""
        for step in self._order.plan:
            if step.phase is not phase:
                continue
            if not await self._may_go_on():
                return False
            learnt: Learnt = await workflow.execute_activity(
                step.name,
                StepInput(self._order.order_id),
                result_type=Learnt,
                summary=f"{step.name.replace('_', ' ').capitalize()} of {self._order.order_id}",
                **policies.FULFIL,
            )
            self._known.learn(learnt.facts)
            refusal = next((f for f in learnt.facts if f.event is Event.STEP_REFUSED), None)
            if refusal is not None:
                reason = f"{step.name} was refused: {refusal.reason}"
                if step.essential:
                    self._known.unusable = reason
                    return False
                await self._known.tell(Event.FLAGGED, reason=reason)
        return True

    async def _may_go_on(self) -> bool:
        """Not while the shopper's bank disputes the payment, nor once the money went back."""
        while True:
            while self._payment.captured and self._inbox.events:
                await self._take_in_next()
            if self._money_went_back():
                self._known.unusable = self._known.unusable or GONE
            if self._known.unusable is not None or not self._payment.under_dispute:
                return self._known.unusable is None
            await workflow.wait_condition(
                lambda: (
                    bool(self._inbox.events)
                    or not self._payment.under_dispute
                    or self._known.unusable is not None
                )
            )

    def _money_went_back(self) -> bool:
        """All of it, or on its way; or for good by a dispute."""
        gone = self._payment.captured and not self._payment.left
        charged_back = self._payment.state is State.CHARGED_BACK
        return charged_back or bool(gone and not self._payment.under_dispute)

    async def _captured(self) -> bool:
        """Take the money. False when it is not there to take any more."""
        await self._capture_wanted()
        if self._known.unusable is None:
            self._capture_begun = True
            await self._gateway.capture(self._to_capture or self._order.amount)
        return self._payment.captured > 0 and self._known.unusable is None

    async def _capture_wanted(self) -> None:
        """Wait until the storefront wants the money, or the hold is gone."""
        held_since = workflow.now()
        if not self._wait_is_over() and self._payment.capture_before is None:
            await self._gateway.look_up()  # a callback does not tell when the hold ends
        while not self._wait_is_over():
            if self._inbox:
                await self._take_in_next()
                continue
            warn_at = self._warn_of_the_end(held_since)
            try:
                await workflow.wait_condition(
                    lambda: self._wait_is_over() or bool(self._inbox),
                    timeout=self._until_hold_ends() if warn_at is None else until(warn_at),
                    timeout_summary=self._awaited(),
                )
            except TimeoutError:
                if warn_at is not None:
                    end = self._payment.capture_before
                    await self._known.tell(Event.CAPTURE_DUE, capture_before=end)
                else:
                    self._known.looks_without_news += 1
                    await self._gateway.look_up()

    def _wait_is_over(self) -> bool:
        return (
            self._to_capture is not None
            or self._payment.state is not State.AUTHORIZED
            or self._known.unusable is not None
        )

    def _warn_of_the_end(self, held_since: datetime) -> datetime | None:
        """When to say that the hold is about to end; None where there is nothing to say (any
        more)."""
        end = self._payment.capture_before
        if end is None or self._payment.capture_due or end <= workflow.now():
            return None
        return end - min(CAPTURE_WARNING, (end - held_since) / 2)

    def _until_hold_ends(self) -> timedelta:
        """When to ask whether the money is still held: a lost callback must not be waited for."""
        end = self._payment.capture_before
        if end is not None and end > workflow.now():
            return end - workflow.now() + FIRST_LOOK
        growth = float(2 ** min(self._known.looks_without_news, 12))
        pause = LONGEST_BANK_PAUSE if end is None else min(FIRST_LOOK * growth, LONGEST_PAUSE)
        return jittered(pause)

    # The ways out.

    async def _close_checkout(self) -> None:
        """No money came in time, or not as it should: leave nothing held at the gateway."""
        reason = self._why_canceled()
        if self._payment.state in BEFORE_MONEY and self._known.unusable is None:
            await self._known.tell(Event.EXPIRED)
        await self._give_back(reason)

    async def _give_the_money_back(self) -> None:
        """Undo what was done, last first; then void, or refund what was captured."""
        reason = self._why_canceled()
        for step in reversed(self._order.plan):
            if step.name in self._payment.steps_done:
                await self._undo(step, reason)
        await self._give_back(reason)

    async def _give_back(self, reason: str | None) -> None:
        """Release what is held; what was captured is refunded."""
        await self._gateway.release_hold()
        await self._giving_back.begin()
        await self._known.tell(Event.CANCELED, reason=reason)
        await self._giving_back.wait_for_answer()

    async def _until(self, true: Callable[[], bool], timeout: timedelta | None) -> None:
        """Take in events until it is true, or until the time is up."""
        with suppress(TimeoutError):
            while not true():
                if self._inbox.events:
                    await self._take_in_next()
                else:
                    await workflow.wait_condition(
                        lambda: true() or bool(self._inbox.events), timeout=timeout
                    )

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
            await self._known.tell(Event.FLAGGED, reason=f"{words} was not undone: {error.cause}")
        else:
            self._known.learn(learnt.facts)

    def _why_canceled(self) -> str | None:
        end = self._payment.capture_before
        if self._known.unusable is None and self._payment.state is State.VOIDED:
            over = end is not None and end <= workflow.now()
            return "the hold ended uncaptured" if over else "the hold was released at the gateway"
        if self._known.unusable is None and self._payment.state is State.AUTHORIZED:
            return "the money could not be taken"
        return self._known.unusable

    async def _finish(self) -> None:
        """Leave nothing unread and nobody waiting."""
        self._ended = True
        while self._inbox.events or not workflow.all_handlers_finished():
            if self._inbox.events:
                await self._gateway.take_in(self._inbox.events.popleft())
            else:
                await workflow.wait_condition(
                    lambda: bool(self._inbox.events) or workflow.all_handlers_finished()
                )

    # Mechanics.

    @property
    def _payment(self) -> Payment:
        return self._known.payment

    def _answered(self, attempt: int) -> bool:
        known = self._payment.attempts.get(attempt)
        if known is None:
            return self._payment.state not in OPEN_TO_ATTEMPTS
        return known.state not in IN_FLIGHT or self._payment.state not in IN_FLIGHT

    def _awaited(self) -> str:
        """What the payment waits for, for the operator."""
        if self._gateway.unknown:
            return self._gateway.unknown.awaited
        match self._payment.state:
            case State.REQUIRES_ACTION:
                return "the shopper to authenticate"
            case State.INITIATED if not self._payment.attempts:
                return f"the first attempt, until {self._expires_at:%H:%M} UTC"
            case State.PROCESSING:
                return "the bank"
            case State.DECLINED | State.FAILED:
                return f"another payment method, until {self._expires_at:%H:%M} UTC"
            case State.AUTHORIZED if not self._payment.confirmed:
                return "the gateway's callback"
            case State.AUTHORIZED if self._to_capture is None:
                end = self._payment.capture_before
                until_ = f" until {end:%Y-%m-%d %H:%M} UTC" if end is not None else ""
                return f"the storefront to capture{until_}"
            case State.DISPUTED:
                return "the end of the dispute"
            case _:
                return "nothing from outside"


def until(moment: datetime) -> timedelta:
    """How long it is until then; a moment at least."""
    return max(moment - workflow.now(), FIRST_LOOK)
