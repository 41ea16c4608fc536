"""The money of an order that is undone after its capture."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy

from app.domain.facts import Event
from app.domain.money import Money
from app.domain.reversals import refund_name
from app.temporal import names
from app.workflows.gateway_talk import Until
from app.workflows.known import Known
from app.workflows.messages import RefundInput
from app.workflows.refund import RefundWorkflow
from app.workflows.unknown import jittered

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=12)
WHY = "order undone"


class GivingBack:
    """It goes back by a refund with a workflow of its own, which sees to it however long the banks
    take."""

    def __init__(self, known: Known, until: Until) -> None:
        self._known = known
        self._until = until
        self._name = refund_name(known.order.order_id, WHY)
        self._refund: workflow.ChildWorkflowHandle[RefundWorkflow, str] | None = None

    async def begin(self) -> None:
        """From here on what is left of the money is on its way back. Does nothing where nothing can
        be given back."""
        pause = FIRST_PAUSE
        while not self._is_noted() and (amount := self._known.payment.refundable):
            self._refund = await self._start(self._known.order.amount.of(amount))
            await self._until(self._is_noted_or_refused, None)
            if not self._is_noted():
                # Somebody else gives back what we have not heard of yet.
                reason = (
                    f"not all of the money could be refunded on {workflow.now():%Y-%m-%d}: "
                    f"{self._known.order.amount.of(amount)} is tried again"
                )
                await self._known.tell(Event.FLAGGED, reason=reason)
                await self._until(self._is_noted, jittered(pause))
                pause = min(pause * 2, LONGEST_PAUSE)

    async def wait_for_answer(self) -> None:
        """Until the gateway has taken the refund on, or refused it."""
        if self._refund is not None:
            await self._until(self._is_answered, None)

    async def _start(self, amount: Money) -> workflow.ChildWorkflowHandle[RefundWorkflow, str]:
        order = self._known.order
        transaction_id = self._known.payment.transaction_id or ""
        return await workflow.start_child_workflow(
            RefundWorkflow.run,
            RefundInput(
                order.order_id,
                self._name,
                amount,
                order.gateway,
                transaction_id,
                WHY,
                order.unknown_age_limit_seconds,
            ),
            id=names.refund_workflow_id(order.order_id, self._name),
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            search_attributes=names.search_attributes(
                order.order_id, order.gateway, names.UNTROUBLED
            ),
            static_summary=f"Refund of {amount}, order {order.order_id}: it was undone",
        )

    def _is_noted(self) -> bool:
        return self._name in self._known.payment.refunds

    def _is_noted_or_refused(self) -> bool:
        return self._is_noted() or self._is_over()

    def _is_answered(self) -> bool:
        refund = self._known.payment.refunds.get(self._name)
        return self._is_over() or (refund is not None and refund.reference is not None)

    def _is_over(self) -> bool:
        return self._refund is not None and self._refund.done()
