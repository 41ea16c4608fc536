"""One refund, from the request to the money's arrival at the shopper's bank."""

import asyncio
from collections import deque
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from app.activities.failures import Failure
    from app.activities.refunds import LookUpRefundInput, MakeRefundInput, RefundActivities
    from app.domain.facts import Event, Fact
    from app.domain.gateway import GatewayEvent
    from app.domain.learn import learn_event
    from app.domain.reversals import Refund, RefundState, note_refund
    from app.temporal import names, policies
    from app.workflows.known import record
    from app.workflows.messages import RefundInput
    from app.workflows.neighbours import tell_payment

FIRST_LOOK = timedelta(seconds=2)
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=12)


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
        self._show("the gateway")

    @workflow.run
    async def run(self, ask: RefundInput) -> str:
        await self._note()
        if self._refusal is None:
            await self._make()
            while self._events or self._state is RefundState.PENDING:
                await self._hear()
        self._show("nothing from outside")
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
        return MakeRefundInput(ask.order_id, ask.transaction_id, ask.amount, ask.name, ask.reason)

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
        """Ask the gateway until it has answered: always by the same name."""
        pause = FIRST_PAUSE
        while not self._answered:
            try:
                learnt = await workflow.execute_activity_method(
                    RefundActivities.make_refund,
                    self._make_input(),
                    summary=f"Refund {self._ask.amount} of order {self._ask.order_id}",
                    **policies.MOVE_MONEY,
                )
            except ActivityError:  # unavailable or unknown: the gateway is asked again
                await asyncio.sleep(pause.total_seconds())
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._answered = True
                await self._learn(learnt.facts)

    async def _hear(self) -> None:
        """Take in the gateway's news; without any, ask."""
        pause = FIRST_LOOK
        while not self._events and self._state is RefundState.PENDING:
            self._show("the shopper's bank")
            try:
                await workflow.wait_condition(
                    lambda: bool(self._events),
                    timeout=pause,
                    timeout_summary="the shopper's bank",
                )
            except TimeoutError:
                pause = min(pause * 2, LONGEST_PAUSE)
                await self._look_up()
        if self._events:
            facts = learn_event(
                self._events.popleft(),
                at=workflow.now(),
                attempt=0,
                currency=self._ask.amount.currency,
            )
            await record(self._ask.order_id, facts)
            await self._learn(facts)

    async def _look_up(self) -> None:
        try:
            learnt = await workflow.execute_activity_method(
                RefundActivities.look_up_refund,
                LookUpRefundInput(self._ask.order_id, self._ask.transaction_id, self._ask.name),
                summary="No news: ask the gateway what became of the refund",
                **policies.LOOK_UP,
            )
        except ActivityError:  # it refuses to tell: somebody should look, and it may report yet
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        else:
            await self._learn(learnt.facts)

    async def _learn(self, facts: list[Fact]) -> None:
        """Facts that are in the records already."""
        for fact in facts:
            self._known = note_refund(self._known, fact)
        if any(fact.event is Event.REFUND_FAILED for fact in facts):
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        await tell_payment(self._ask.order_id, facts)

    def _show(self, awaited: str) -> None:
        """What an operator sees in the Temporal UI."""
        ask = self._ask
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
