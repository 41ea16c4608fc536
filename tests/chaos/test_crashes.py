"""A worker dies at named moments, one of each kind; `make crashes` has them all."""

from pathlib import Path

from chaos.crash_ends import End
from chaos.crash_flows import FLOWS
from chaos.crashes import Plan, every_point, play, stage

_STORIES = {flow.name: flow for flow in FLOWS}
_DEATHS = {
    "paid": (
        "authorize_payment:during_call",
        "reserve_stock:during_call",
        "capture_payment:after_call",
        "send_receipt:during_call",
        "record_facts.fulfilled:before_answer",
    ),
    "out of stock": ("void_payment:during_call",),
    "not shippable": ("undo_reserve_stock:during_call", "make_refund:during_call"),
    "refunded while shipped": ("undo_ship_order:after_call",),
    "refunded": ("note_refund:after_write",),
    "declined": ("authorize_payment:after_call",),
    "late, taken": ("release_payment:during_call:2",),
    "disputed": ("look_up_dispute:after_call",),
}
_NEVER = "capture_payment:during_call:9"


async def test_whoever_dies_where_the_end_is_the_same_and_a_death_that_was_none_is_told(
    tmp_path: Path,
) -> None:
    plans = [Plan(_STORIES[name], (point,)) for name, points in _DEATHS.items() for point in points]
    never = Plan(_STORIES["paid"], (_NEVER,))
    async with stage(tmp_path, workers=8) as scene:
        played = await play(scene, [*plans, never])
        assert await scene.stock_is_right()
    told = {each.plan.points: each.differences for each in played}
    assert told.pop(never.points) == [f"nobody died at {_NEVER}"]
    assert told == {plan.points: [] for plan in plans}
    assert not any(each.charged_twice for each in played)


def test_every_point_is_armed_as_often_as_was_asked() -> None:
    armed = [(plan.flow.name, point) for plan in every_point(3) for point in plan.points]
    points = [(flow.name, point) for flow in FLOWS for point in flow.points]
    assert sorted(armed) == sorted(points * 3)


def test_an_end_tells_in_what_it_differs() -> None:
    end = End("figures", "charged once", frozenset({"paid"}), "goods", ("mail",), captures=1)
    other = End("figures", "charged twice", frozenset({"lost"}), "goods", (), captures=2)
    assert end.differs_from(end) == []
    assert other.differs_from(end) == [
        "charged: charged once became charged twice",
        "mails: ('mail',) became ()",
        "missing fact paid",
        "another fact lost",
    ]
