"""Starts, joins and captures payments: what the routes ask of Temporal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.api.problems import unavailable
from app.domain.order import Order
from app.temporal import names
from app.temporal.client import RPC_TIMEOUT
from app.wiring import Parts
from app.workflows.payment import AttemptInput, PaymentInput, PaymentWorkflow

_OUT_OF_REACH = "The workflow engine is out of reach."


@asynccontextmanager
async def temporal_faults() -> AsyncIterator[None]:
    """Temporal's faults as problems."""
    try:
        yield
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.ALREADY_EXISTS):
            raise
        raise unavailable(_OUT_OF_REACH) from error
    except RuntimeError as error:
        # A lazy client that cannot connect raises no narrower type.
        if "connect" not in str(error).lower():
            raise
        raise unavailable(_OUT_OF_REACH) from error


class Checkout:
    """The payment workflow, as the API sees it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._temporal: Client = parts.temporal

    async def attempt(self, order: Order, attempt: AttemptInput) -> None:
        """Start the order's workflow or join it, and wait for the attempt's answer.

        Returns when there is one, when the wait is over and the attempt is sure to go on, or when
        the workflow has ended. Raises the service-unavailable problem when it is not sure.
        """
        settings = self._parts.settings
        accepted = False
        async with temporal_faults():
            try:
                async with asyncio.timeout(settings.initiate_wait_seconds) as wait:
                    handle = await self._temporal.start_update_with_start_workflow(
                        PaymentWorkflow.initiate,
                        attempt,
                        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                        id=names.initiate_update_id(attempt.number),
                        start_workflow_operation=self._start(order, attempt),
                    )
                    accepted = True
                    await handle.result()
            except WorkflowAlreadyStartedError:
                return
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
                if not wait.expired():
                    raise unavailable(_OUT_OF_REACH) from None
                if not accepted and not await self._started(order, attempt):
                    raise unavailable("The payment could not be taken on.") from None

    async def capture(self, order_id: str) -> None:
        """Have the running workflow take the held money. RPCError NOT_FOUND if it ended."""
        workflow = self._temporal.get_workflow_handle(names.payment_workflow_id(order_id))
        async with temporal_faults():
            try:
                async with asyncio.timeout(self._parts.settings.initiate_wait_seconds):
                    await workflow.execute_update(PaymentWorkflow.capture, id="capture")
            except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
                raise unavailable("The capture was not confirmed in time.") from None

    def _start(
        self, order: Order, attempt: AttemptInput
    ) -> WithStartWorkflowOperation[PaymentWorkflow, str]:
        settings, gateway = self._parts.settings, self._parts.gateway.name
        return WithStartWorkflowOperation(
            PaymentWorkflow.run,
            PaymentInput(
                order_id=order.order_id,
                amount=order.amount,
                gateway=gateway,
                capture=order.capture,
                plan=[step.plan for step in self._parts.steps],
                attempt=attempt,
                expiry_seconds=settings.checkout_expiry_seconds,
                grace_seconds=settings.callback_grace_seconds,
            ),
            id=names.payment_workflow_id(order.order_id),
            task_queue=settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(names.ORDER_ID, order.order_id),
                    SearchAttributePair(names.GATEWAY, gateway),
                    SearchAttributePair(names.PAYMENT_STATUS, "initiated"),
                    SearchAttributePair(names.NEEDS_ATTENTION, False),
                ]
            ),
            static_summary=f"Order {order.order_id}: {order.amount}",
        )

    async def _started(self, order: Order, attempt: AttemptInput) -> bool:
        """Whether the attempt is sure to go on although no worker has answered: the first one is
        part of the workflow's start, which Temporal keeps."""
        if attempt.number > 1:
            return False
        workflow = self._temporal.get_workflow_handle(names.payment_workflow_id(order.order_id))
        try:
            found = await workflow.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError:
            return False
        return found.status is WorkflowExecutionStatus.RUNNING


async def worker_is_polling(parts: Parts, within: timedelta) -> bool:
    """Whether some worker asked for work lately."""
    answer = await parts.temporal.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=parts.settings.temporal_namespace,
            task_queue=TaskQueue(name=parts.settings.task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=RPC_TIMEOUT,
    )
    oldest = datetime.now(UTC) - within
    return any(p.last_access_time.ToDatetime(UTC) >= oldest for p in answer.pollers)
