"""One dispute, from the day the shopper's bank opens it until it is decided."""

from collections import deque
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from app.activities.disputes import DisputeActivities, LookUpDisputeInput
    from app.domain.facts import Event, Fact, Source
    from app.domain.gateway import GatewayEvent
    from app.domain.learn import learn_event
    from app.domain.money import Money
    from app.domain.reversals import Dispute, DisputeState, note_dispute
    from app.temporal import names, policies
    from app.workflows.known import record
    from app.workflows.messages import DisputeInput
    from app.workflows.neighbours import tell_payment
    from app.workflows.unknown import jittered

# The operator is told two days before the evidence is due, or halfway where there is less time.
EVIDENCE_WARNING = timedelta(days=2)
LOOK_EVERY = timedelta(hours=12)


@workflow.defn
class DisputeWorkflow:
    """Keep what the gateway tells, mind the deadline, and record who won."""

    @workflow.init
    def __init__(self, ask: DisputeInput) -> None:
        self._ask = ask
        self._events: deque[GatewayEvent] = deque()
        self._known: dict[str, Dispute] = {}
        self._opened_at = workflow.now()
        self._warned = False

    @workflow.run
    async def run(self, ask: DisputeInput) -> str:
        workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        while self._events or self._is_open():
            if self._events:
                await self._take_in(self._events.popleft())
                continue
            warn_at = self._warn_at()
            try:
                await workflow.wait_condition(
                    lambda: bool(self._events),
                    timeout=self._until(warn_at),
                    timeout_summary="the bank's decision",
                )
            except TimeoutError:
                if warn_at is not None and workflow.now() >= warn_at:
                    await self._warn()
                else:
                    await self._look_up()
        return self._dispute.state if self._dispute is not None else DisputeState.OPEN

    @workflow.signal
    def gateway_event(self, event: GatewayEvent) -> None:
        """The gateway reported something about the dispute."""
        self._events.append(event)

    @property
    def _dispute(self) -> Dispute | None:
        return self._known.get(self._ask.dispute_id)

    def _is_open(self) -> bool:
        return self._dispute is None or self._dispute.state is DisputeState.OPEN

    async def _take_in(self, event: GatewayEvent) -> None:
        facts = learn_event(event, at=workflow.now(), attempt=0, currency=self._ask.amount.currency)
        await record(self._ask.order_id, facts)
        await self._learn(facts)

    async def _look_up(self) -> None:
        try:
            learnt = await workflow.execute_activity_method(
                DisputeActivities.look_up_dispute,
                LookUpDisputeInput(
                    self._ask.order_id, self._ask.dispute_id, self._ask.amount.currency
                ),
                summary="No news: ask the gateway how the dispute stands",
                **policies.LOOK_UP,
            )
        except ActivityError:  # it refuses to tell: it may report yet
            return
        await self._learn(learnt.facts)

    async def _learn(self, facts: list[Fact]) -> None:
        """Facts that are in the records already."""
        for fact in facts:
            self._known = note_dispute(self._known, fact)
        won = self._dispute is not None and self._dispute.state is DisputeState.WON
        workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(not won)])
        self._show()
        await tell_payment(self._ask.order_id, facts)

    def _warn_at(self) -> datetime | None:
        due = self._due()
        if due is None or self._warned or due <= workflow.now():
            return None
        return due - min(EVIDENCE_WARNING, (due - self._opened_at) / 2)

    def _due(self) -> datetime | None:
        return self._dispute.evidence_due_by if self._dispute is not None else None

    def _until(self, warn_at: datetime | None) -> timedelta:
        """When to look, or to warn."""
        look = jittered(LOOK_EVERY)
        if warn_at is None:
            return look
        return min(max(warn_at - workflow.now(), timedelta(seconds=1)), look)

    async def _warn(self) -> None:
        self._warned = True
        fact = Fact(
            Event.EVIDENCE_DUE,
            workflow.now(),
            Source.WORKFLOW,
            reference=self._ask.dispute_id,
            evidence_due_by=self._due(),
        )
        await record(self._ask.order_id, [fact])
        self._show()

    def _show(self) -> None:
        """What an operator sees in the Temporal UI."""
        dispute = self._dispute
        if dispute is None:
            return
        due = self._due()
        amount = Money(dispute.amount, self._ask.amount.currency)
        lines = [
            f"**Dispute {dispute.dispute_id} over {amount}, order {self._ask.order_id}: "
            f"{dispute.state}**",
            "",
            f"- reason: {dispute.reason or 'none given'}",
            f"- gateway's payment: {self._ask.transaction_id}",
            f"- evidence is due by {due:%Y-%m-%d %H:%M} UTC" if due else "- no deadline is known",
        ]
        if self._is_open():
            lines += ["", "Answer it in the gateway's dashboard.", "Waiting for: the bank"]
        workflow.set_current_details("\n".join(lines))
