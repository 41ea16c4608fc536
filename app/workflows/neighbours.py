"""What one workflow of an order tells another."""

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from app.domain.facts import Fact
from app.temporal import names


async def tell_payment(order_id: str, facts: list[Fact]) -> None:
    """Let the order's payment know, if it is still running: it must not ship what was refunded."""
    payment = workflow.get_external_workflow_handle(names.payment_workflow_id(order_id))
    try:
        await payment.signal("facts_learnt", facts)
    except ApplicationError:  # it has ended: the records hold the facts
        return
