"""What a run says in the end, and what is not run twice."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.embedded.part import ROOT
from chaos.doses import Dose, summed
from chaos.judge_verdict import Invariant, Verdict
from chaos.outcome import Outcome, read, write
from chaos.report import last_line, table
from chaos.run import Order


def _verdict(*breaches: str, **found: int) -> Verdict:
    invariant = Invariant(1, "no order is captured twice", {"captures": 7}, list(breaches))
    counts = {"charged_twice": 0, "lost": 0, "unexplained": 0} | found
    return Verdict([invariant], **counts, difference={"usd": 0, "eur": 0})


def _outcome(verdict: Verdict | None = None, *surprises: str) -> Outcome:
    return Outcome(
        payments=10,
        kills=2,
        doses=[
            Dose("kill -9: api", "kill", 2, 2, {"ms down": 1500}),
            Dose("callbacks repeated", "delivery", 0, 30),
            Dose("forged callbacks", "callback", 3, 1, {"refused": 1}),
            Dose("the database's disk is full", "time", 1, 0, not_done="only root may"),
        ],
        verdict=verdict or _verdict(),
        surprises=list(surprises),
        answers={0: 3, 200: 12},
        rate=4.0,
        load_seconds=5.0,
        rest_seconds=2.0,
    )


def test_the_last_line_adds_up_the_pieces() -> None:
    line = last_line([_outcome(), _outcome()])
    assert line == (
        "chaos: 20 payments, 4 kills, 62 faults: 0 charged twice, 0 lost, 0 unexplained, "
        "difference 0"
    )


def test_the_last_line_tells_what_is_wrong_in_any_piece() -> None:
    bad = replace(
        _verdict("order-1: captured twice", charged_twice=1, lost=2, unexplained=3),
        difference={"usd": 5, "eur": 0},
    )
    assert last_line([_outcome(), _outcome(bad, "GET was answered 500")]).endswith(
        ": 1 charged twice, 2 lost, 4 unexplained, difference usd 5"
    )


def test_the_table_tells_fault_dose_and_what_happened() -> None:
    told = table([_outcome(), _outcome()]).splitlines()
    assert told[0].split() == ["fault", "dose", "what", "happened"]
    assert told[1].split() == ["kill", "-9:", "api", "4", "kills", "3000", "ms", "down"]
    assert told[2].endswith("60 deliveries")
    assert told[3].endswith("2 callbacks of 6  2 refused")
    assert told[4].endswith("0  not done: only root may")
    assert "answers to the storefront: 6 x none, 24 x 200" in told
    assert "1. no order is captured twice: holds (14 captures)" in told


def test_the_table_shows_breaches_and_surprises() -> None:
    told = table([_outcome(_verdict("order-1: captured twice"), "GET was answered 500")])
    assert "1. no order is captured twice: 1 BREACHES (7 captures)\n   order-1: captured" in told
    assert "not expected: GET was answered 500" in told


def test_doses_of_one_kind_add_up() -> None:
    one = Dose("a", "time", 2, 1, {"seen": 3})
    other = Dose("a", "time", 1, 1, {"seen": 1, "else": 1}, not_done="why")
    assert summed([one, Dose("b", "time"), other]) == [
        Dose("a", "time", 3, 2, {"seen": 4, "else": 1}, "why"),
        Dose("b", "time"),
    ]
    assert one.happened == {"seen": 3}


@pytest.mark.parametrize(
    ("outcome", "clean"),
    [
        (_outcome(), True),
        (_outcome(_verdict("order-1: captured twice")), False),
        (_outcome(None, "GET was answered 500"), False),
    ],
)
def test_an_outcome_is_kept_as_it_is(tmp_path: Path, outcome: Outcome, clean: bool) -> None:
    file = tmp_path / "piece.json"
    assert read(file) is None
    write(outcome, file)
    assert read(file) == outcome
    assert outcome.clean is clean


def test_finished_pieces_are_not_run_again(tmp_path: Path) -> None:
    order = Order(seed=3, payments=20, kills=4, piece=10, minutes=1, home=tmp_path)
    order.folder.mkdir(parents=True)
    for number in range(2):
        write(_outcome(), order.folder / f"piece-{number:02}.json")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "chaos", "--seed", "3", "--payments", "20", "--kills", "4"),
            *("--piece", "10", "--minutes", "1", "--home", str(tmp_path)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == last_line([_outcome(), _outcome()])
