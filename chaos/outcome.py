"""What became of one piece of a run, kept in a file so that the run can go on later."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from chaos.doses import Dose
from chaos.judge_verdict import Verdict


@dataclass(frozen=True)
class Outcome:
    """`answers` counts what the storefront was told by HTTP status, 0 where nothing came;
    `surprises` is what it could make no sense of. `rate` is payments a second before the first
    fault, `load_seconds` how long the load ran, and `rest_seconds` how long it then took until all
    was at rest."""

    payments: int
    kills: int
    doses: list[Dose]
    verdict: Verdict
    surprises: list[str]
    answers: dict[int, int]
    rate: float
    load_seconds: float
    rest_seconds: float

    @property
    def faults(self) -> int:
        """How many there were, kills apart."""
        return sum(dose.given for dose in self.doses) - self.kills

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must not."""
        return self.verdict.clean and not self.surprises


_OUTCOME = TypeAdapter(Outcome)


def write(outcome: Outcome, file: Path) -> None:
    """All of it or nothing."""
    unfinished = file.with_suffix(".new")
    unfinished.write_bytes(_OUTCOME.dump_json(outcome, indent=2))
    unfinished.rename(file)


def read(file: Path) -> Outcome | None:
    """The outcome, or None where there is none yet."""
    return _OUTCOME.validate_json(file.read_bytes()) if file.exists() else None
