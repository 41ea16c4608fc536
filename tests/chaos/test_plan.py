"""The plan: drawn from the seed and nothing else."""

from collections import Counter

import pytest

from chaos.plan import Story, Voice, What, draw, pieces
from chaos.stack import PAIRS, PARTS


def test_the_same_seed_draws_the_same_plan() -> None:
    assert draw(7, 2, 300, 20) == draw(7, 2, 300, 20)
    assert str(draw(7, 2, 300, 20)) == str(draw(7, 2, 300, 20))


@pytest.mark.parametrize(("seed", "piece"), [(8, 2), (7, 3)])
def test_another_seed_or_piece_draws_another(seed: int, piece: int) -> None:
    one, other = draw(7, 2, 300, 20), draw(seed, piece, 300, 20)
    assert [order.story for order in one.orders] != [order.story for order in other.orders]
    assert one.kills != other.kills
    assert not {order.order_id for order in one.orders} & {o.order_id for o in other.orders}


@pytest.mark.parametrize("orders", [60, 1000])
def test_a_plan_holds_every_story_every_voice_and_every_way_to_break_things(orders: int) -> None:
    plan = draw(1, 0, orders, 5)
    assert {order.story for order in plan.orders} == set(Story)
    assert {order.voice for order in plan.orders} == set(Voice)
    assert {each.what for each in plan.disturbances} == set(What)
    assert {kill.part for kill in plan.kills} == set(PARTS)
    cut_off = {each.target for each in plan.disturbances if each.target in PAIRS}
    assert cut_off == set(PAIRS)
    assert len({order.order_id for order in plan.orders}) == len(plan.orders) == orders


def test_kills_are_spread_over_the_run_and_the_parts() -> None:
    plan = draw(1, 0, 1000, 50)
    assert set(Counter(kill.part for kill in plan.kills).values()) == {10}
    moments = [kill.after for kill in plan.kills]
    assert moments == sorted(moments)
    assert 0 < moments[0] < 100
    assert 900 < moments[-1] < 1000


def test_a_thousand_orders_bring_the_doses_of_a_tenth_of_the_whole_run() -> None:
    plan = draw(1, 0, 1000, 50)
    voices = Counter(order.voice for order in plan.orders)
    late = sum(each.dose for each in plan.disturbances if each.what is What.LATE_TIME_OUT)
    assert late >= 150
    assert voices[Voice.SILENT] >= 200
    assert voices[Voice.TENFOLD] * 5 * 9 + voices[Voice.SHUFFLED] * 5 >= 5000


def test_for_people_the_plan_tells_kills_and_faults() -> None:
    plan = draw(1, 0, 100, 5)
    told = str(plan)
    assert told.startswith("seed 1, piece 0: 100 orders\n")
    assert told.count(": kill ") == 5
    assert all(str(each.what) in told for each in plan.disturbances)


@pytest.mark.parametrize(
    ("orders", "kills", "size", "shares"),
    [
        (200, 10, 1000, [(200, 10)]),
        (10_000, 500, 1000, [(1000, 50)] * 10),
        (250, 3, 100, [(100, 1), (100, 1), (50, 1)]),
    ],
)
def test_pieces_share_orders_and_kills(
    orders: int, kills: int, size: int, shares: list[tuple[int, int]]
) -> None:
    assert list(pieces(orders, kills, size)) == shares
