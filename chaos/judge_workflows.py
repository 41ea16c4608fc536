"""What Temporal says of the workflows: which are open, how the others ended, what went wrong."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

_AT_ONCE = 16
_PROBLEMS = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
_SCHEDULE = SearchAttributeKey.for_keyword("TemporalScheduledById")
# News came while the workflow was about to end: the server has it look again. No defect.
_OVERTAKEN = frozenset(
    {
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_UPDATE,
    }
)


@dataclass(frozen=True)
class Run:
    """One run of a workflow. `failure` is the type of the error that it ended with; `problems` are
    its failed workflow tasks and what the server reports of it now."""

    workflow_id: str
    type: str
    status: WorkflowExecutionStatus
    started_at: datetime
    scheduled: bool
    failure: str | None
    problems: list[str]


async def read_workflows(client: Client, task_queue: str) -> list[Run]:
    """Every run on `task_queue`, with its whole history looked through."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(found: WorkflowExecution) -> Run:
        async with room:
            return await _run(client, found)

    listed = [found async for found in _listed(client, task_queue)]
    return await asyncio.gather(*(one(found) for found in listed))


def _listed(client: Client, task_queue: str) -> AsyncIterator[WorkflowExecution]:
    return client.list_workflows(f"TaskQueue = '{task_queue}'", page_size=1000)


async def _run(client: Client, found: WorkflowExecution) -> Run:
    problems = [str(each) for each in found.typed_search_attributes.get(_PROBLEMS) or ()]
    failure = None
    handle = client.get_workflow_handle(found.id, run_id=found.run_id)
    async for event in handle.fetch_history_events(page_size=1000):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            task = event.workflow_task_failed_event_attributes
            if task.cause not in _OVERTAKEN:
                cause = WorkflowTaskFailedCause.Name(task.cause)
                failed = await client.data_converter.decode_failure(task.failure)
                problems.append(f"{cause}: {failed}")
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            ended = event.workflow_execution_failed_event_attributes.failure
            failure = ended.application_failure_info.type
    if found.status is None:
        raise ValueError(f"{found.id} is in no state")
    return Run(
        found.id,
        found.workflow_type,
        found.status,
        found.start_time,
        found.typed_search_attributes.get(_SCHEDULE) is not None,
        failure,
        problems,
    )
