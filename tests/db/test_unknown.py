"""Unknown outcomes: a row each, for as long as they are not known."""

from dataclasses import replace
from datetime import timedelta

from app.db.records import PostgresRecords
from app.domain.order import Order
from app.domain.records import Filter
from app.domain.unknown import Operation, UnknownOutcome
from tests.db.conftest import NOON

CAPTURE = UnknownOutcome(Operation.CAPTURE, NOON, NOON + timedelta(seconds=4))


async def test_each_check_moves_the_next_one_until_the_outcome_is_known(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    refund = replace(CAPTURE, operation=Operation.REFUND, refund="ref_1")
    await records.note_unknown(order.order_id, refund)
    await records.note_unknown(order.order_id, replace(refund, refund="ref_2"))
    for seconds in (4, 16):
        capture = replace(CAPTURE, next_check_at=NOON + timedelta(seconds=seconds))
        await records.note_unknown(order.order_id, capture)
    shown = await records.unknown_outcomes(order.order_id)
    assert {(one.operation, one.refund, one.next_check_at) for one in shown} == {
        (Operation.CAPTURE, "", NOON + timedelta(seconds=16)),
        (Operation.REFUND, "ref_1", NOON + timedelta(seconds=4)),
        (Operation.REFUND, "ref_2", NOON + timedelta(seconds=4)),
    }
    for known in shown[1:]:
        for _ in range(2):
            await records.note_unknown(order.order_id, replace(known, next_check_at=None))
    assert await records.unknown_outcomes(order.order_id) == shown[:1]


async def test_what_is_unknown_is_listed_with_its_next_check(
    records: PostgresRecords, order: Order
) -> None:
    await records.open_order(order)
    await records.open_order(replace(order, order_id="known"))
    await records.note_unknown(order.order_id, CAPTURE)
    later = replace(CAPTURE, operation=Operation.REFUND, next_check_at=NOON + timedelta(hours=1))
    await records.note_unknown(order.order_id, later)
    [line] = await records.list_payments(Filter(unknown=True), None, 10)
    assert (line.place.order_id, line.next_check_at) == (order.order_id, CAPTURE.next_check_at)
    [line] = await records.list_payments(Filter(unknown=False), None, 10)
    assert (line.place.order_id, line.next_check_at) == ("known", None)
    assert len(await records.list_payments(Filter(), None, 10)) == 2
