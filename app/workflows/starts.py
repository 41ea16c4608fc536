"""How a payment's workflow is started: by the door with a first attempt, or without one."""

from dataclasses import dataclass
from typing import Any

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from app.domain.fulfilment import StepPlan
from app.domain.order import Order
from app.temporal import names
from app.temporal.policies import RPC_TIMEOUT
from app.workflows.messages import UNKNOWN_AGE_LIMIT_SECONDS, AttemptInput, PaymentInput
from app.workflows.payment import PaymentWorkflow


@dataclass(frozen=True)
class PaymentStarts:
    """What every payment's workflow is started with, beside its order."""

    gateway: str
    plan: list[StepPlan]
    task_queue: str
    expiry_seconds: float
    grace_seconds: float
    unknown_age_limit_seconds: float = UNKNOWN_AGE_LIMIT_SECONDS

    def input(self, order: Order, attempt: AttemptInput | None) -> PaymentInput:
        """The workflow's input."""
        return PaymentInput(
            order_id=order.order_id,
            amount=order.amount,
            gateway=self.gateway,
            capture=order.capture,
            plan=self.plan,
            attempt=attempt,
            expiry_seconds=self.expiry_seconds,
            grace_seconds=self.grace_seconds,
            unknown_age_limit_seconds=self.unknown_age_limit_seconds,
        )

    def options(self, order: Order) -> dict[str, Any]:
        """Of the start: whoever comes second joins the run there is, and one that has ended is
        never started again."""
        return {
            "id": names.payment_workflow_id(order.order_id),
            "task_queue": self.task_queue,
            "id_conflict_policy": WorkflowIDConflictPolicy.USE_EXISTING,
            "id_reuse_policy": WorkflowIDReusePolicy.REJECT_DUPLICATE,
            "search_attributes": names.search_attributes(
                order.order_id,
                self.gateway,
                SearchAttributePair(names.PAYMENT_STATUS, "initiated"),
                names.UNTROUBLED,
            ),
            "static_summary": f"Order {order.order_id}: {order.amount}",
        }

    async def start_unattempted(self, client: Client, order: Order) -> None:
        """See to it that the order has its workflow, which waits for an attempt until the checkout
        expires. Does nothing where there is, or was, one."""
        try:
            await client.start_workflow(
                PaymentWorkflow.run,
                self.input(order, None),
                rpc_timeout=RPC_TIMEOUT,
                **self.options(order),
            )
        except WorkflowAlreadyStartedError:
            return
