"""A callback that came after its payment's workflow had ended."""

from dataclasses import dataclass

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.payment import LookUpInput, MoneyInput, PaymentActivities
    from app.domain.gateway import GatewayEvent
    from app.domain.money import Money
    from app.temporal import policies


@dataclass(frozen=True)
class LateEventInput:
    """`unwanted`: the order is over, so money that is there after all goes back."""

    order_id: str
    amount: Money
    event: GatewayEvent
    transaction_id: str | None
    unwanted: bool


@workflow.defn
class LateEventWorkflow:
    """Look, keep what is new, and give back money that the order has no use for."""

    @workflow.run
    async def run(self, late: LateEventInput) -> None:
        seen = late.event.payment
        transaction_id = seen.transaction_id if seen is not None else late.transaction_id
        foreign = late.transaction_id not in (None, transaction_id)
        if transaction_id is not None and (late.unwanted or foreign):
            await workflow.execute_activity_method(
                PaymentActivities.release_payment,
                MoneyInput(late.order_id, transaction_id, late.amount, number=1, attempt=0),
                summary=f"Give back what {transaction_id} brought: order {late.order_id} is over",
                **policies.LOOK_UP,
            )
        else:
            await workflow.execute_activity_method(
                PaymentActivities.look_up_payment,
                LookUpInput(late.order_id, 0, late.event.created_at, transaction_id),
                summary=f"{late.event.type} came late: ask the gateway how the payment stands",
                **policies.LOOK_UP,
            )
