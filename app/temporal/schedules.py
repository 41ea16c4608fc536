"""What runs by the clock."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

# The API delivers at once; this is for what it could not, so half a minute is soon enough.
DELIVER_EVERY = timedelta(seconds=30)


async def ensure_schedules(client: Client, task_queue: str) -> None:
    """Create the schedules that are not there yet."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            "DeliverCallbacksWorkflow",
            id="deliver-callbacks",
            task_queue=task_queue,
            execution_timeout=timedelta(minutes=10),
            static_summary="Deliver what the callback inbox still holds",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=DELIVER_EVERY)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)
        ),
    )
    try:
        await client.create_schedule("deliver-callbacks", schedule)
    except ScheduleAlreadyRunningError:
        return
