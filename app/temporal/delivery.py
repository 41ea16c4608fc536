"""Hands a stored callback to its payment's workflow."""

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.domain.facts import Source
from app.domain.gateway import GatewayEvent
from app.domain.learn import learn
from app.domain.order import Order
from app.domain.payment import OrderState, Payment, apply
from app.domain.records import Records
from app.temporal import names
from app.temporal.client import RPC_TIMEOUT


class CallbackDelivery:
    """To the running workflow as a signal; else, if it is news, to a workflow of its own."""

    def __init__(self, client: Client, records: Records, task_queue: str) -> None:
        self._client = client
        self._records = records
        self._task_queue = task_queue

    async def deliver(self, event: GatewayEvent) -> None:
        """Deliver and note it. Raises RPCError while Temporal is out of reach."""
        order_id = event.order_id or ""
        workflow = self._client.get_workflow_handle(names.payment_workflow_id(order_id))
        try:
            await workflow.signal("gateway_event", event, rpc_timeout=RPC_TIMEOUT)
            outcome = "signaled"
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            outcome = await self._deliver_late(order_id, event)
        await self._records.callback_delivered(event, outcome)

    async def _deliver_late(self, order_id: str, event: GatewayEvent) -> str:
        order = await self._records.find_order(order_id)
        payment = await self._records.find_payment(order_id)
        if order is None or payment is None or not _is_news(payment, event):
            return "repeated"
        try:
            await self._start_late(order, payment, event)
        except WorkflowAlreadyStartedError:
            return "repeated"
        return "late"

    async def _start_late(self, order: Order, payment: Payment, event: GatewayEvent) -> None:
        known = await self._records.facts(order.order_id)
        await self._client.start_workflow(
            "LateEventWorkflow",
            {
                "order_id": order.order_id,
                "amount": order.amount,
                "event": event,
                "transaction_id": payment.transaction_id,
                "unwanted": payment.order_state is OrderState.CANCELED,
                "since": (known[0].at if known else event.created_at).isoformat(),
            },
            id=names.late_event_workflow_id(event.gateway, event.event_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(names.ORDER_ID, order.order_id),
                    SearchAttributePair(names.GATEWAY, event.gateway),
                ]
            ),
            static_summary=f"{event.type} for order {order.order_id}, after its workflow ended",
            rpc_timeout=RPC_TIMEOUT,
        )


def _is_news(payment: Payment, event: GatewayEvent) -> bool:
    """Whether the event tells something that the records do not. A hint tells nothing itself: it is
    news while money could still be missing from our figures."""
    if event.payment is None:
        return not payment.captured
    facts = learn(event.payment, source=Source.CALLBACK, at=event.created_at, attempt=0)
    return any(apply(payment, fact) != payment for fact in facts)
