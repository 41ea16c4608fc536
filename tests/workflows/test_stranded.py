"""An order whose workflow could not be started is seen to its end all the same."""

from datetime import timedelta
from functools import partial

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from app.activities.stranded import StrandedActivities
from app.domain.payment import OrderState, State
from tests.workflows import scenarios
from tests.workflows.shop import EXPIRY, NOTHING, ONCE, Placed, Shop


async def test_a_stranded_order_expires_as_any_other(shop: Shop) -> None:
    placed = await _stranded(shop)
    await _pass_over(shop)
    await _pass_over(shop)
    await shop.pass_time(placed, EXPIRY)
    ended = await placed.result()
    assert (ended.state, ended.order_state) == (State.EXPIRED, OrderState.CANCELED)
    assert await placed.charged() == NOTHING


async def test_a_stranded_order_that_is_asked_for_again_is_paid_once(shop: Shop) -> None:
    placed = await _stranded(shop)
    await _pass_over(shop)
    await placed.pay()
    await placed.call_back()
    await placed.result()
    assert await placed.charged() == ONCE


async def test_an_order_that_had_its_workflow_gets_no_other(shop: Shop) -> None:
    placed = await scenarios.a_happy_path(shop)
    before = await placed.workflow.describe()
    await shop.starts.start_unattempted(shop.temporal, placed.order)
    after = await placed.workflow.describe()
    assert (before.run_id, before.status) == (after.run_id, after.status)


async def test_the_schedules_workflow_goes_through_all_of_them(shop: Shop) -> None:
    placed = await _stranded(shop)
    seen = await shop.temporal.execute_workflow(
        "StartStrandedWorkflow",
        id=f"start-stranded-{placed.order.order_id}",
        task_queue=shop.task_queue,
        result_type=int,
    )
    assert seen >= 1
    assert (await placed.workflow.describe()).close_time is None
    await shop.pass_time(placed, EXPIRY)
    await placed.result()


async def _stranded(shop: Shop) -> Placed:
    """Written long ago, and nothing else."""
    placed = await shop.order()
    async with shop.engine.begin() as connection:
        await connection.execute(
            text("UPDATE orders SET created_at = now() - interval '1 day' WHERE order_id = :it"),
            {"it": placed.order.order_id},
        )
    return placed


async def _pass_over(shop: Shop) -> None:
    start = partial(shop.starts.start_unattempted, shop.skipper.client)
    activity = StrandedActivities(shop.records, start, timedelta(minutes=35)).start_stranded
    await ActivityEnvironment().run(activity, "")
