"""What runs by the clock is there after every start of a worker, as it should be now."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from app.temporal.schedules import ensure_schedules
from tests.sandbox.program import until
from worker import WORKFLOWS

_NAMES = {workflow.__name__ for workflow in WORKFLOWS}


@pytest.fixture
async def schedules(temporal_client: Client) -> AsyncIterator[dict[str, ScheduleHandle]]:
    """All there are, by their names; gone again after the test."""
    await ensure_schedules(temporal_client, "nobody works here")
    listed = [each.id async for each in await temporal_client.list_schedules()]
    handles = {name: temporal_client.get_schedule_handle(name) for name in listed}
    yield handles
    for handle in handles.values():
        await handle.delete()


async def test_one_run_at_a_time_of_workflows_that_the_worker_has(
    schedules: dict[str, ScheduleHandle],
) -> None:
    assert {"deliver-callbacks", "start-stranded"} <= schedules.keys()
    for handle in schedules.values():
        schedule = (await handle.describe()).schedule
        assert isinstance(schedule.action, ScheduleActionStartWorkflow)
        assert schedule.action.workflow in _NAMES
        assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP


async def test_a_schedule_of_before_is_brought_up_to_date_and_a_paused_one_stays_paused(
    schedules: dict[str, ScheduleHandle], temporal_client: Client
) -> None:
    handle = schedules["deliver-callbacks"]

    def as_it_was(known: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = known.description.schedule
        schedule.spec.intervals = [ScheduleIntervalSpec(every=timedelta(hours=7))]
        return ScheduleUpdate(schedule)

    wanted = (await handle.describe()).schedule.spec.intervals
    await handle.update(as_it_was)
    await handle.pause(note="the operator looks into it")

    async def is_paused() -> bool:
        return (await handle.describe()).schedule.state.paused

    async def is_as_wanted() -> bool:
        return (await handle.describe()).schedule.spec.intervals == wanted

    await until(is_paused)
    await ensure_schedules(temporal_client, "nobody works here")
    await until(is_as_wanted)
    state = (await handle.describe()).schedule.state
    assert (state.paused, state.note) == (True, "the operator looks into it")
