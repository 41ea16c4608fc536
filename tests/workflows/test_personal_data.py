"""Who shopped is forgotten by the clock, and the order goes on as before."""

from dataclasses import replace

from sqlalchemy import text

from tests.workflows import scenarios
from tests.workflows.shop import GIVEN_BACK, MANDATE, Placed, Shop

_AGE = (
    "UPDATE orders SET created_at = now() - interval '181 days' WHERE order_id = :id",
    "UPDATE payments SET updated_at = now() - interval '181 days' WHERE order_id = :id",
)


async def _aged(placed: Placed) -> None:
    """As if all that is known of it was half a year old."""
    async with placed.shop.engine.begin() as connection:
        for change in _AGE:
            await connection.execute(text(change), {"id": placed.order.order_id})


async def test_the_schedules_workflow_forgets_the_shopper_and_no_figure(shop: Shop) -> None:
    over = await scenarios.a_happy_path(shop)
    running = await shop.order()
    await running.pay()
    for placed in (over, running):
        await _aged(placed)
    before, story = await over.payment(), await over.facts()
    erased = await shop.temporal.execute_workflow(
        "ErasePersonalDataWorkflow",
        id=f"erase-{over.order.order_id}",
        task_queue=shop.task_queue,
        result_type=int,
    )
    assert erased == 1
    assert over.order.mandate == MANDATE
    forgotten = replace(over.order, mandate=None)
    assert await shop.records.find_order(over.order.order_id) == forgotten
    assert await shop.records.find_order(running.order.order_id) == running.order
    assert (await over.payment(), await over.facts()) == (before, story)

    # What is asked for later is done all the same.
    await (await over.refund("late", 4999)).result()
    assert await over.charged() == GIVEN_BACK
    await running.call_back()
    await running.result()
