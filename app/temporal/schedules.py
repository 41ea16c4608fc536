"""What runs by the clock."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

# The API delivers at once. This is for what it could not: after an outage that is all there is, so
# it comes by soon.
_DELIVER_EVERY = timedelta(seconds=10)
_START_STRANDED_EVERY = timedelta(minutes=5)
# Soon, and once more when what usually takes days is over: a hold lasts seven.
_RECONCILE_EVERY = timedelta(hours=1)
_RECONCILE_HOURS = 3
_RECONCILE_AGAIN_EVERY = timedelta(days=1)
_RECONCILE_AGAIN_HOURS = 8 * 24
_ERASE_EVERY = timedelta(days=1)


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Create the schedules that are not there yet, and bring the others up to date. One that an
    operator has paused stays paused."""
    for name, schedule in _schedules(task_queue).items():
        try:
            await client.create_schedule(name, schedule)
        except ScheduleAlreadyRunningError:
            await client.get_schedule_handle(name).update(_becomes(schedule))


def _schedules(task_queue: str) -> dict[str, Schedule]:
    return {
        "deliver-callbacks": _schedule(
            "DeliverCallbacksWorkflow",
            "deliver-callbacks",
            task_queue,
            _DELIVER_EVERY,
            "Deliver what the callback inbox still holds",
        ),
        "start-stranded": _schedule(
            "StartStrandedWorkflow",
            "start-stranded",
            task_queue,
            _START_STRANDED_EVERY,
            "See to the end of orders whose workflow could not be started",
        ),
        "reconcile-hourly": _schedule(
            "ReconcileWorkflow",
            "reconcile-hourly",
            task_queue,
            _RECONCILE_EVERY,
            "Compare the last hours with the gateway's books",
            {"hours": _RECONCILE_HOURS},
        ),
        "reconcile-daily": _schedule(
            "ReconcileWorkflow",
            "reconcile-daily",
            task_queue,
            _RECONCILE_AGAIN_EVERY,
            "Compare the last days with the gateway's books",
            {"hours": _RECONCILE_AGAIN_HOURS},
        ),
        "erase-personal-data": _schedule(
            "ErasePersonalDataWorkflow",
            "erase-personal-data",
            task_queue,
            _ERASE_EVERY,
            "Erase who shopped, of orders that are over for long enough",
        ),
    }


def _schedule(
    workflow: str, id_: str, queue: str, every: timedelta, summary: str, *arguments: Any
) -> Schedule:
    """One run at a time: while one is under way, the next ones are left out."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            workflow,
            args=arguments,
            id=id_,
            task_queue=queue,
            execution_timeout=max(timedelta(minutes=10), every),
            static_summary=summary,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)
        ),
    )


def _becomes(schedule: Schedule) -> Callable[[ScheduleUpdateInput], ScheduleUpdate]:
    def update(known: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(schedule, state=known.description.schedule.state))

    return update
