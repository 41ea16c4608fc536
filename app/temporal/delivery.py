"""Hands a stored callback to the workflows of its order that want to know."""

import asyncio
from datetime import UTC, datetime

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.domain.delivery import DeliveryUnavailableError
from app.domain.gateway import GatewayDispute, GatewayEvent
from app.domain.learn import learn_event
from app.domain.order import Order
from app.domain.payment import OrderState, Payment, apply
from app.domain.records import Records, RecordsUnavailableError
from app.temporal import names
from app.temporal.policies import RPC_TIMEOUT

# Temporal has understood, and will not take it. Anything else is an outage and passes.
_REFUSALS = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.OUT_OF_RANGE,
)
_DELIVERY_SECONDS = 10
_READ_AT_ONCE = 100
_LONGEST_REASON = 300
_log = structlog.get_logger()


class CallbackDelivery:
    """To what runs for the order, as a signal; else, if it is news, to a workflow of its own."""

    def __init__(self, client: Client, records: Records, task_queue: str) -> None:
        self._client = client
        self._records = records
        self._task_queue = task_queue

    async def deliver_waiting(self, order_id: str) -> int:
        """Deliver all that waits for the order, the oldest first; how many were delivered.

        What is refused is noted and set aside: nothing behind it waits, and no workflow relies on
        the order. Raises DeliveryUnavailableError and RecordsUnavailableError; the rest waits on.
        """
        delivered = 0
        while waiting := await self._records.callbacks_to_deliver(order_id, _READ_AT_ONCE):
            for event in waiting:
                delivered += await self._delivered(event)
        return delivered

    async def deliver(self, event: GatewayEvent) -> None:
        """Deliver and note it. Whoever dies in between delivers it again: the workflows know their
        events. Raises DeliveryUnavailableError while Temporal is out of reach."""
        try:
            async with asyncio.timeout(_DELIVERY_SECONDS):
                outcome = await self._deliver(event.order_id or "", event)
        except (TimeoutError, RPCError, RuntimeError) as error:
            # RuntimeError: a lazy client that cannot connect raises no narrower type.
            if isinstance(error, RPCError) and error.status in _REFUSALS:
                raise
            raise DeliveryUnavailableError(f"Temporal is out of reach: {error}") from error
        await self._records.callback_delivered(event, outcome)

    async def _delivered(self, event: GatewayEvent) -> bool:
        """False when it was refused, and is set aside."""
        try:
            await self.deliver(event)
        except (DeliveryUnavailableError, RecordsUnavailableError):
            raise
        except Exception as error:
            _log.warning("callback refused", event_id=event.event_id, error=type(error).__name__)
            await self._records.callback_refused(event, _why(error))
            return False
        return True

    async def _deliver(self, order_id: str, event: GatewayEvent) -> str:
        taken = [await self._signal(names.payment_workflow_id(order_id), event)]
        if event.refund is not None and event.refund.name is not None:
            name = names.refund_workflow_id(order_id, event.refund.name)
            taken.append(await self._signal(name, event))
        if event.dispute is not None:
            taken.append(await self._tell_dispute(order_id, event, event.dispute))
        return "signaled" if any(taken) else await self._deliver_late(order_id, event)

    async def _signal(self, workflow_id: str, event: GatewayEvent) -> bool:
        """False when no such workflow is running."""
        workflow = self._client.get_workflow_handle(workflow_id)
        try:
            await workflow.signal("gateway_event", event, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False
        return True

    async def _tell_dispute(
        self, order_id: str, event: GatewayEvent, dispute: GatewayDispute
    ) -> bool:
        """A dispute has its own workflow, begun by its first event. False when it is over, or over
        another payment than the order's."""
        order = await self._records.find_order(order_id)
        payment = await self._records.find_payment(order_id)
        if order is None or payment is None or _is_of_another(payment, event):
            return False
        try:
            await self._client.start_workflow(
                "DisputeWorkflow",
                {
                    "order_id": order_id,
                    "dispute_id": dispute.dispute_id,
                    "gateway": event.gateway,
                    "transaction_id": dispute.transaction_id,
                    "amount": order.amount,
                },
                id=names.dispute_workflow_id(order_id, dispute.dispute_id),
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                start_signal="gateway_event",
                start_signal_args=[event],
                search_attributes=names.search_attributes(order_id, event.gateway),
                static_summary=f"Dispute over order {order_id}: {dispute.amount}",
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

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
            search_attributes=names.search_attributes(order.order_id, event.gateway),
            static_summary=f"{event.type} for order {order.order_id}, after its workflow ended",
            rpc_timeout=RPC_TIMEOUT,
        )


def _why(error: Exception) -> str:
    """For the operator. A defect's own words may quote from the event."""
    name = type(error).__name__
    return f"{name}: {error}"[:_LONGEST_REASON] if isinstance(error, RPCError) else name


def _is_news(payment: Payment, event: GatewayEvent) -> bool:
    """Whether the event tells something that the records do not. A hint tells nothing itself: it is
    news while money could still be missing from our figures."""
    # Learnt now: the gateway's clock, which knows whole seconds only, would seem to tell of an
    # earlier request.
    facts = learn_event(event, at=datetime.now(UTC), attempt=0, currency=payment.amount.currency)
    if _is_of_another(payment, event):
        return False
    if not facts and event.payment is None:
        return not payment.captured
    return any(apply(payment, fact) != payment for fact in facts)


def _is_of_another(payment: Payment, event: GatewayEvent) -> bool:
    """Whether it takes back the money of a gateway payment that the order had no use for."""
    reversal = event.payment is None and event.transaction_id is not None
    return reversal and event.transaction_id not in payment.transaction_ids
