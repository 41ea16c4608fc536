"""A callback that came after its payment's workflow had ended."""

from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.payment import LookUpInput, PaymentActivities, ReleaseInput
    from app.domain.facts import Event
    from app.domain.gateway import GatewayEvent
    from app.domain.learn import learn_event
    from app.domain.money import Money
    from app.temporal import names, policies
    from app.workflows.known import record


@dataclass(frozen=True)
class LateEventInput:
    """`unwanted`: the order is over, so money that is there after all goes back. `since` is when
    the order began (ISO 8601: a datetime cannot be read from a payload in a workflow's module)."""

    order_id: str
    amount: Money
    event: GatewayEvent
    transaction_id: str | None
    unwanted: bool
    since: str


@workflow.defn
class LateEventWorkflow:
    """Keep what is new, and give back money that the order has no use for."""

    @workflow.run
    async def run(self, late: LateEventInput) -> None:
        if late.event.refund is not None or late.event.dispute is not None:
            await self._note(late)
            return
        seen = late.event.payment
        transaction_id = seen.transaction_id if seen is not None else late.transaction_id
        since = datetime.fromisoformat(late.since)
        foreign = late.transaction_id not in (None, transaction_id)
        if late.unwanted or foreign:
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
            await workflow.execute_activity_method(
                PaymentActivities.release_payment,
                ReleaseInput(late.order_id, since, 0, transaction_id),
                summary=f"Give back what {transaction_id or 'came late'} brought, if anything: "
                f"order {late.order_id} is over",
                **policies.LOOK_UP,
            )
        else:
            await workflow.execute_activity_method(
                PaymentActivities.look_up_payment,
                LookUpInput(late.order_id, 0, since, transaction_id),
                summary=f"{late.event.type} came late: ask the gateway how the payment stands",
                **policies.LOOK_UP,
            )

    async def _note(self, late: LateEventInput) -> None:
        """News of a refund, or of a dispute that was thought to be over, tells all there is."""
        facts = learn_event(late.event, at=workflow.now(), attempt=0, currency=late.amount.currency)
        if any(fact.event is not Event.REFUNDED for fact in facts):
            workflow.upsert_search_attributes([names.NEEDS_ATTENTION.value_set(True)])
        await record(late.order_id, facts)
