"""One refund, from the request to the money's arrival at the shopper's bank."""

from collections import deque
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from app.activities.failures import Failure
    from app.activities.refunds import LookUpRefundInput, MakeRefundInput, RefundActivities
    from app.domain.facts import Event, Fact, Source
    from app.domain.gateway import GatewayEvent
    from app.domain.learn import learn_event
    from app.domain.reversals import Refund, RefundState, note_refund
    from app.domain.unknown import Operation, Resolution
    from app.temporal import names, policies
    from app.workflows.known import record
    from app.workflows.messages import RefundInput, ResolveInput
    from app.workflows.neighbours import tell_payment
    from app.workflows.unknown import Unknown, jittered

FIRST_LOOK = timedelta(seconds=2)
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_UNKNOWN_PAUSE = timedelta(hours=1)
LONGEST_PAUSE = timedelta(hours=12)
# Refunds that were under way before these were so go on as they began.
NEWS_COMES_FIRST = "news and a look-up come before a decision about a refund"
SILENCE_IS_FLAGGED = "that the gateway tells nothing of a refund is flagged in words"


@workflow.defn
class RefundWorkflow:
    """Note it, make it, and see what the banks make of it."""

    @workflow.init
    def __init__(self, ask: RefundInput) -> None:
        self._ask = ask
        self._events: deque[GatewayEvent] = deque()
        self._known: dict[str, Refund] = {}
        self._answered = False
        self._refusal: str | None = None
        self._number = 1
        self._pause = FIRST_PAUSE
        self._awaited = "the gateway"
        self._silence_is_flagged = False
        self._unknown = Unknown(
            ask.order_id, ask.unknown_age_limit_seconds, self._flag, self._show, refund=ask.name
        )
        self._show()

    @workflow.run
    async def run(self, ask: RefundInput) -> str:
        await self._note()
        if self._refusal is None:
            await self._make()
            while self._events or self._state is RefundState.PENDING:
                await self._hear()
        self._awaited = "nothing from outside"
        self._show()
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._refusal is not None:
            raise ApplicationError(self._refusal, type=Failure.REFUSED)
        return self._state

    @workflow.update
    async def refund(self) -> None:
        """Ask for the refund. Returns once the gateway has answered; fails where there is not so
        much to give back."""
        await workflow.wait_condition(lambda: self._answered or self._refusal is not None)
        if self._refusal is not None:
            raise ApplicationError(self._refusal, type=Failure.REFUSED)

    @workflow.update
    async def resolve(self, ask: ResolveInput) -> None:
        """An operator decides about the unknown outcome. Returns once a check was made with it."""
        fact = self._unknown.resolved(ask, attempt=0)
        await record(self._ask.order_id, [fact])
        await tell_payment(self._ask.order_id, [fact])
        if fact.acknowledged:
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(False)])
        if self._unknown:
            await self._unknown.decide(ask)

    @resolve.validator
    def _may_be_resolved(self, ask: ResolveInput) -> None:
        if not self._unknown:
            raise ApplicationError("no outcome is unknown")

    @workflow.signal
    def gateway_event(self, event: GatewayEvent) -> None:
        """The gateway reported something about the refund."""
        self._events.append(event)

    @property
    def _state(self) -> RefundState:
        known = self._known.get(self._ask.name)
        return known.state if known is not None else RefundState.PENDING

    def _make_input(self) -> MakeRefundInput:
        ask = self._ask
        return MakeRefundInput(
            ask.order_id, ask.transaction_id, ask.amount, ask.name, ask.reason, self._number
        )

    async def _note(self) -> None:
        """Its money is gone from now on, for the payment too: it must not ship any more."""
        try:
            learnt = await workflow.execute_local_activity_method(
                RefundActivities.note_refund,
                self._make_input(),
                summary=f"Note the refund of {self._ask.amount}",
                **policies.RECORD,
            )
        except ApplicationError as error:  # a local activity's failure comes unwrapped
            self._refusal = error.message
        else:
            await self._learn(learnt.facts)

    async def _make(self) -> None:
        """Ask the gateway until it has answered: always by the same name, and under the same key
        while the gateway surely remembers it. Then only look, unless an operator decides."""
        await self._ask_for_it()
        if not self._answered:
            await self._find_out()
            await self._unknown.is_over()

    async def _find_out(self) -> None:
        hears = workflow.patched(NEWS_COMES_FIRST)
        while not self._answered:
            wait = await self._unknown.next_check(self._pause)
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._unknown.is_called or (hears and bool(self._events)),
                    timeout=wait,
                    timeout_summary="the next check",
                )
            self._pause = min(self._pause * 2, LONGEST_UNKNOWN_PAUSE)
            if hears and self._events:
                await self._take_in(self._events.popleft())
            else:
                await self._check()

    async def _check(self) -> None:
        decision = self._unknown.decision
        undone = decision is not None and decision.outcome is Resolution.NOT_CHARGED
        if undone and not workflow.patched(NEWS_COMES_FIRST):
            self._number += 1
            await self._ask_for_it()
            self._unknown.decision = decision = None
        elif undone:
            if await self._is_surely_undone():
                # What comes now is another unknown outcome, with an age and a worry of its own.
                await self._unknown.is_over()
                self._number, self._pause = self._number + 1, FIRST_PAUSE
                await self._ask_for_it()
        elif self._unknown.is_old:
            await self._look_up()
        else:
            await self._ask_for_it()
        self._unknown.has_checked(decision)

    async def _is_surely_undone(self) -> bool:
        """Whether the gateway, asked now, knows nothing of it, and no request is on its way."""
        looked_at = workflow.now()
        told = await self._look_up()
        has_arrived = self._unknown.has_arrived(by=looked_at)
        return told and has_arrived and not self._answered

    async def _ask_for_it(self) -> None:
        try:
            learnt = await workflow.execute_activity_method(
                RefundActivities.make_refund,
                self._make_input(),
                summary=f"Refund {self._ask.amount} of order {self._ask.order_id}",
                **policies.REFUND,
            )
        except ActivityError:  # unavailable or unknown: the gateway is asked again
            self._unknown.begin(Operation.REFUND)
            return
        self._answered = True
        await self._learn(learnt.facts)

    async def _hear(self) -> None:
        """Take in the gateway's news; without any, ask."""
        pause = FIRST_LOOK
        while not self._events and self._state is RefundState.PENDING:
            self._awaited = "the shopper's bank"
            self._show()
            try:
                await workflow.wait_condition(
                    lambda: bool(self._events),
                    timeout=jittered(pause),
                    timeout_summary="the shopper's bank",
                )
            except TimeoutError:
                pause = min(pause * 2, LONGEST_PAUSE)
                await self._look_up()
        if self._events:
            await self._take_in(self._events.popleft())

    async def _take_in(self, event: GatewayEvent) -> None:
        facts = learn_event(event, at=workflow.now(), attempt=0, currency=self._ask.amount.currency)
        await record(self._ask.order_id, facts)
        await self._learn(facts)
        self._answered = self._answered or any(fact.refund == self._ask.name for fact in facts)

    async def _look_up(self) -> bool:
        """Ask the gateway what became of it. Whether it answered."""
        try:
            learnt = await workflow.execute_activity_method(
                RefundActivities.look_up_refund,
                LookUpRefundInput(self._ask.order_id, self._ask.transaction_id, self._ask.name),
                summary="No news: ask the gateway what became of the refund",
                **(policies.LOOK_ONCE if self._unknown else policies.LOOK_UP),
            )
        except ActivityError as error:
            if not self._unknown:
                await self._flag_silence(error)
            return False
        self._answered = self._answered or bool(learnt.facts)
        await self._learn(learnt.facts)
        return True

    async def _flag_silence(self, error: ActivityError) -> None:
        """It refuses to tell: somebody should look, once, and it may report yet."""
        if not workflow.patched(SILENCE_IS_FLAGGED):
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        elif not self._silence_is_flagged:
            self._silence_is_flagged = True
            await self._flag(f"the gateway tells nothing of refund {self._ask.name}: {error.cause}")

    async def _flag(self, reason: str) -> None:
        fact = Fact(Event.FLAGGED, workflow.now(), Source.WORKFLOW, reason=reason)
        await record(self._ask.order_id, [fact])
        workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        await tell_payment(self._ask.order_id, [fact])

    async def _learn(self, facts: list[Fact]) -> None:
        """Facts that are in the records already."""
        for fact in facts:
            self._known = note_refund(self._known, fact)
        if any(fact.event is Event.REFUND_FAILED for fact in facts):
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        await tell_payment(self._ask.order_id, facts)

    def _show(self) -> None:
        """What an operator sees in the Temporal UI."""
        ask = self._ask
        awaited = self._unknown.awaited if self._unknown else self._awaited
        lines = [
            f"**Refund of {ask.amount}, order {ask.order_id}: {self._state}**",
            "",
            f"- our id: {ask.name}",
            f"- gateway's payment: {ask.transaction_id}",
            f"- reason: {ask.reason or 'none given'}",
            "",
            f"Waiting for: {awaited}",
        ]
        workflow.set_current_details("\n".join(lines))
