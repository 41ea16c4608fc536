"""After everything: no card is left anywhere, and the ledger agrees with its facts.

The last file of the last folder, so that whatever the tests before it sent has left its traces.
"""

from app.db import ledger_check
from app.db.engine import create_engine
from tests.sweep.left import no_card_is_left
from tests.walk.running import Running, new_order, request


async def test_no_card_is_left_anywhere(running: Running) -> None:
    await no_card_is_left(running)


async def test_whatever_was_paid_and_given_back_the_ledger_agrees_with_its_facts(
    running: Running,
) -> None:
    order_id = new_order("booked")
    await running.initiate(request(order_id))
    await running.until(order_id)
    engine = create_engine(running.stack.postgres.url)
    try:
        pages = [page async for page in ledger_check.check(engine)]
    finally:
        await engine.dispose()
    assert [found for page in pages for found in page.differences] == []
    [(orders,)] = await running.query("SELECT count(DISTINCT order_id) FROM journal")
    assert 0 < orders <= sum(page.orders for page in pages)
    sums = "SELECT currency, sum(amount) FROM journal GROUP BY currency HAVING sum(amount) <> 0"
    assert await running.query(sums) == []
