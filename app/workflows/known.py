"""What the workflow knows of its payment: the fold of facts that stand in the records first."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from app.activities.payment import LearnInput, PaymentActivities
from app.domain.facts import Decline, Event, Fact, Source
from app.domain.payment import Payment
from app.domain.payment import apply as apply_fact
from app.temporal import names, policies
from app.workflows.details import details
from app.workflows.messages import PaymentInput


class Known:
    """The payment so far. `unusable` says why the order cannot go on, once it cannot."""

    def __init__(self, order: PaymentInput, awaited: Callable[[], str]) -> None:
        self.order = order
        self.payment = Payment(order.order_id, order.amount)
        self.unusable: str | None = None
        self.looks_without_news = 0
        self._awaited = awaited

    @property
    def latest_attempt(self) -> int:
        """Its number."""
        return max(self.payment.attempts, default=1)

    def is_news(self, facts: list[Fact]) -> bool:
        """Whether any of `facts` changes what we know."""
        return any(apply_fact(self.payment, fact) != self.payment for fact in facts)

    async def tell(
        self,
        event: Event,
        *,
        source: Source = Source.WORKFLOW,
        attempt: int = 0,
        decline: Decline | None = None,
        reason: str | None = None,
        capture_before: datetime | None = None,
    ) -> None:
        """Something that the workflow itself found out or decided."""
        fact = Fact(
            event,
            workflow.now(),
            source,
            attempt=attempt,
            decline=decline,
            reason=reason,
            capture_before=capture_before,
        )
        await self.record([fact])

    async def record(self, facts: list[Fact]) -> None:
        """Facts of the workflow's own: into the records first, then believed."""
        await record(self.order.order_id, facts)
        self.learn(facts)

    def learn(self, facts: list[Fact]) -> None:
        """Facts that are in the records already."""
        before = self.payment
        for fact in facts:
            self.payment = apply_fact(self.payment, fact)
        if self.payment.state != before.state:
            self.looks_without_news = 0
        self._show_changes(before)

    def show(self) -> None:
        """What an operator reads in the Temporal UI."""
        workflow.set_current_details(details(self.payment, self._awaited()))

    def _show_changes(self, before: Payment) -> None:
        after = self.payment
        updates: list[SearchAttributeUpdate[Any]] = []
        if after.state != before.state:
            updates.append(names.PAYMENT_STATUS.value_set(after.state))
        if bool(after.attention) != bool(before.attention):
            updates.append(names.NEEDS_ATTENTION.value_set(bool(after.attention)))
        if updates:
            workflow.upsert_search_attributes(updates)
        self.show()


async def record(order_id: str, facts: list[Fact]) -> None:
    """Put facts that a workflow has to tell into the records."""
    await workflow.execute_local_activity_method(
        PaymentActivities.record_facts,
        LearnInput(order_id, facts),
        summary=", ".join(fact.event for fact in facts),
        **policies.RECORD,
    )
