"""A callback that came after its payment's workflow had ended."""

from dataclasses import dataclass
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.payment import LookUpInput, PaymentActivities, ReleaseInput
    from app.domain.gateway import GatewayEvent
    from app.domain.money import Money
    from app.temporal import policies


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
    """Look, keep what is new, and give back money that the order has no use for."""

    @workflow.run
    async def run(self, late: LateEventInput) -> None:
        seen = late.event.payment
        transaction_id = seen.transaction_id if seen is not None else late.transaction_id
        since = datetime.fromisoformat(late.since)
        foreign = late.transaction_id not in (None, transaction_id)
        if late.unwanted or foreign:
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
