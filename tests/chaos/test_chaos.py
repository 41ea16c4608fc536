"""The short form: real processes under load, each kind of fault at least once, and the verdict."""

from pathlib import Path

from chaos.piece import run_piece
from chaos.plan import draw

PAYMENTS, KILLS, MINUTES = 60, 5, 3
SEED = 139  # draws the rare faults early, so that there are calls left to suffer them


async def test_whatever_breaks_no_payment_is_lost_and_none_is_made_twice(tmp_path: Path) -> None:
    plan = draw(SEED, 0, PAYMENTS, KILLS)
    outcome = await run_piece(plan, tmp_path / "piece", MINUTES, lambda _: None)

    breached = {each.number: each.breaches for each in outcome.verdict.invariants if each.breaches}
    assert breached == {}, plan
    assert outcome.surprises == [], plan
    assert outcome.verdict.clean
    verdict = outcome.verdict
    assert (verdict.charged_twice, verdict.lost, verdict.unexplained) == (0, 0, 0)
    assert not any(verdict.difference.values())
    assert (outcome.payments, outcome.kills) == (PAYMENTS, KILLS)
    not_given = [dose for dose in outcome.doses if not dose.given and dose.not_done is None]
    assert not_given == []
    for kill in (dose for dose in outcome.doses if dose.fault.startswith("kill")):
        assert kill.given == 1, kill
