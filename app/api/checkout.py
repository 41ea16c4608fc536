"""Starts and joins payments and refunds, captures, cancels: what the routes ask of Temporal."""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, TypeVar

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.common import (
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import UpdateMethodMultiParam

from app.api.problems import ProblemError, unavailable
from app.domain.facts import Fact
from app.domain.order import Order
from app.keyring import UnknownKeyError
from app.temporal import names
from app.temporal.policies import RPC_TIMEOUT
from app.wiring import Parts
from app.workflows.messages import (
    AttemptInput,
    CancelInput,
    CaptureInput,
    RefundInput,
    ResolveInput,
)
from app.workflows.payment import PaymentWorkflow
from app.workflows.refund import RefundWorkflow

_OUT_OF_REACH = "The workflow engine is out of reach."
# An answer that this process has no key for (yet) is none: the records tell.
_UNANSWERED = (
    TimeoutError,
    RPCError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    UnknownKeyError,
)
_HEALTH_SECONDS = 3
_Ask = TypeVar("_Ask")
_Workflow = TypeVar("_Workflow")


class Answer(Enum):
    """What a workflow made of a request."""

    TAKEN_ON = auto()  # it is done, or will be
    REFUSED = auto()  # for good: nothing was done
    ENDED = auto()  # there is no such workflow (any more): the records say how things stand


class Checkout:
    """An order's workflows, as the API sees them."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._temporal: Client = parts.temporal
        self._wait_seconds = parts.settings.initiate_wait_seconds

    async def require_temporal(self) -> None:
        """Asked first: a request that was never sent is the only one sure to have done nothing.

        Raises the service-unavailable problem.
        """
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                healthy = await self._temporal.service_client.check_health()
        except (TimeoutError, RPCError, RuntimeError) as error:
            # RuntimeError: a lazy client that cannot connect raises no narrower type.
            raise unavailable(_OUT_OF_REACH) from error
        if not healthy:
            raise unavailable(_OUT_OF_REACH)

    async def attempt(self, order: Order, attempt: AttemptInput, *, under_way: bool) -> bool:
        """Start the order's workflow or join it, and wait a while for the attempt's answer.

        `under_way`: the records show the attempt already; whoever makes a new one asks for Temporal
        before they take a token. False when the workflow has ended. Raises the service-unavailable
        problem where the attempt is not sure to be made.
        """
        if under_way:
            try:
                await self.require_temporal()
            except ProblemError:
                return True
        kept = under_way
        accepted = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                if attempt.number > 1 and not under_way:
                    await self._workflow(order.order_id).signal(
                        PaymentWorkflow.attempt_requested, attempt, rpc_timeout=RPC_TIMEOUT
                    )
                    kept = True
                handle = await self._temporal.start_update_with_start_workflow(
                    PaymentWorkflow.initiate,
                    attempt,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    id=names.initiate_update_id(attempt.number),
                    start_workflow_operation=self._start(order, attempt),
                )
                accepted = True
                await handle.result()
        except (WorkflowAlreadyStartedError, WorkflowUpdateFailedError):
            return False
        except _UNANSWERED as error:
            if _ended(error):
                return False
            if not kept and not accepted and not await self._kept(order, attempt):
                raise unavailable(
                    "The payment may not have been taken on.", "It may still be made."
                ) from None
        return True

    async def capture(self, order_id: str, ask: CaptureInput) -> Answer:
        """Have the running workflow take the held money, and wait a while until it did.

        Raises the service-unavailable problem where the capture is not sure to be made.
        """
        return await self._ask(
            self._workflow(order_id),
            PaymentWorkflow.capture,
            ask,
            names.capture_update_id(ask.amount.minor),
            ("The capture was not taken on in time.", "The money may be taken all the same."),
        )

    async def cancel(self, order_id: str, ask: CancelInput) -> Answer:
        """Have the running workflow call the order off, and wait a while until it did.

        Raises the service-unavailable problem where the order is not sure to be canceled.
        """
        return await self._ask(
            self._workflow(order_id),
            PaymentWorkflow.cancel,
            ask,
            names.CANCEL_UPDATE_ID,
            (
                "The cancellation was not taken on in time.",
                "The order may be canceled all the same.",
            ),
        )

    async def refund(self, ask: RefundInput, known_facts: int) -> Answer:
        """Start the refund's workflow or join it, and wait a while for the gateway's answer.

        `known_facts`: how many of the order's were known when it was asked. An update of the same
        id gets the old answer for ever; after any news a refusal must be asked about anew.
        Raises the service-unavailable problem where the refund is not sure to be made.
        """
        await self.require_temporal()
        workflow = self._temporal.get_workflow_handle(
            names.refund_workflow_id(ask.order_id, ask.name)
        )
        accepted = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                handle = await self._temporal.start_update_with_start_workflow(
                    RefundWorkflow.refund,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    id=f"{names.REFUND_UPDATE_ID}-{known_facts}",
                    start_workflow_operation=self._start_refund(ask),
                )
                accepted = True
                await handle.result()
        except WorkflowUpdateFailedError:
            return Answer.REFUSED
        except WorkflowAlreadyStartedError:
            return Answer.ENDED
        except _UNANSWERED as error:
            if _ended(error):
                return Answer.ENDED
            if not accepted and not await self._is_running(workflow):
                raise unavailable(
                    "The refund may not have been taken on.",
                    "It may still be made; one Idempotency-Key makes one refund.",
                ) from None
        return Answer.TAKEN_ON

    async def resolve(
        self, order_id: str, ask: ResolveInput, refund: str | None, known_facts: int
    ) -> Answer:
        """Have the workflow that does not know an outcome act upon an operator's decision: that of
        the refund, if one is named. `known_facts`: how many of the order's were known.

        Raises the service-unavailable problem where the decision is not sure to be kept.
        """
        id_ = names.resolve_update_id(
            self._parts.settings.keyring(),
            known_facts,
            *(ask.outcome, refund, ask.transaction_id, ask.actor, ask.reason),
        )
        doubt = ("The decision was not taken on in time.", "It may be acted upon all the same.")
        if refund is None:
            return await self._ask(
                self._workflow(order_id), PaymentWorkflow.resolve, ask, id_, doubt
            )
        made = self._temporal.get_workflow_handle(names.refund_workflow_id(order_id, refund))
        return await self._ask(made, RefundWorkflow.resolve, ask, id_, doubt)

    async def tell(self, order_id: str, facts: list[Fact]) -> None:
        """Tell the order's workflow of facts that are in the records, if it is running.

        Raises the service-unavailable problem where it cannot be told.
        """
        try:
            await self._workflow(order_id).signal(
                PaymentWorkflow.facts_learnt, facts, rpc_timeout=RPC_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            # RuntimeError: a lazy client that cannot connect raises no narrower type.
            if not _ended(error):
                raise unavailable(_OUT_OF_REACH, "What you sent is recorded.") from error

    async def _ask(
        self,
        workflow: WorkflowHandle[_Workflow, Any],
        update: UpdateMethodMultiParam[[_Workflow, _Ask], None],
        ask: _Ask,
        id_: str,
        not_taken_on: tuple[str, str],
    ) -> Answer:
        """Send `update` to `workflow`, and wait a while until it is done."""
        await self.require_temporal()
        accepted = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                handle = await workflow.start_update(
                    update, ask, id=id_, wait_for_stage=WorkflowUpdateStage.ACCEPTED
                )
                accepted = True
                await handle.result()
        except WorkflowUpdateFailedError:
            return Answer.REFUSED
        except _UNANSWERED as error:
            if _ended(error):
                return Answer.ENDED
            if not accepted:
                raise unavailable(*not_taken_on) from None
        return Answer.TAKEN_ON

    def _start(
        self, order: Order, attempt: AttemptInput
    ) -> WithStartWorkflowOperation[PaymentWorkflow, str]:
        starts = self._parts.starts
        return WithStartWorkflowOperation(
            PaymentWorkflow.run, starts.input(order, attempt), **starts.options(order)
        )

    def _start_refund(self, ask: RefundInput) -> WithStartWorkflowOperation[RefundWorkflow, str]:
        return WithStartWorkflowOperation(
            RefundWorkflow.run,
            ask,
            id=names.refund_workflow_id(ask.order_id, ask.name),
            task_queue=self._parts.settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # One that failed made no refund.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            search_attributes=names.search_attributes(ask.order_id, ask.gateway, names.UNTROUBLED),
            static_summary=f"Refund of {ask.amount}, order {ask.order_id}",
        )

    async def _kept(self, order: Order, attempt: AttemptInput) -> bool:
        """Whether a first attempt is kept although no worker has answered. It is part of the
        workflow's start, unless the workflow was there already: so it is signaled, too."""
        try:
            await self._workflow(order.order_id).signal(
                PaymentWorkflow.attempt_requested, attempt, rpc_timeout=RPC_TIMEOUT
            )
        except RPCError:
            return False
        return True

    async def _is_running(self, workflow: WorkflowHandle[Any, Any]) -> bool:
        try:
            async with asyncio.timeout(_HEALTH_SECONDS):
                found = await workflow.describe(rpc_timeout=RPC_TIMEOUT)
        except (TimeoutError, RPCError):
            return False
        return found.status is WorkflowExecutionStatus.RUNNING

    def _workflow(self, order_id: str) -> WorkflowHandle[PaymentWorkflow, str]:
        return self._temporal.get_workflow_handle_for(
            PaymentWorkflow.run, names.payment_workflow_id(order_id)
        )


def _ended(error: Exception) -> bool:
    return isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND


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
