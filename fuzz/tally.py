"""What was asked, and which answers should not have been given."""

from collections import Counter
from dataclasses import dataclass, field

_MOST_SHOWN = 40


@dataclass(frozen=True)
class Finding:
    """An answer that a check did not pass. `door` is the operation, `asked` the request as a shell
    command."""

    visitor: str
    door: str
    check: str
    what: str
    asked: str
    answer: str

    def __str__(self) -> str:
        return (
            f"{self.visitor}, {self.door}, {self.check}: {self.what}\n"
            f"  asked:  {self.asked}\n  answer: {self.answer}"
        )


@dataclass
class Tally:
    """Counts of one run. `with_key` are the requests that a live key came with."""

    statuses: Counter[int] = field(default_factory=Counter)
    with_key: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self.statuses.total()

    @property
    def server_errors(self) -> int:
        """How many were answered with 5xx."""
        return sum(count for status, count in self.statuses.items() if status >= 500)

    @property
    def undocumented(self) -> int:
        """How many answers, beside those, were not as the API's description has them."""
        return sum(finding.check != SERVER_ERROR for finding in self.findings)

    @property
    def clean(self) -> bool:
        """Whether there were answers, and each was one that may be given."""
        return self.requests > 0 and not self.server_errors and not self.findings

    def answered(self, status: int, *, with_key: bool) -> None:
        """One request more, and its answer."""
        self.statuses[status] += 1
        self.with_key += with_key

    def lines(self) -> list[str]:
        """What was found, the first of each kind, and the verdict last."""
        kinds = {(each.door, each.check, each.what): each for each in reversed(self.findings)}
        shown = [str(each) for each in list(kinds.values())[::-1][:_MOST_SHOWN]]
        return [
            *shown,
            "checks:  " + ", ".join(f"{name} {n}" for name, n in sorted(self.checks.items())),
            "answers: "
            + ", ".join(f"{n} x {status}" for status, n in sorted(self.statuses.items())),
            f"fuzz: {self.requests} requests ({self.with_key} with a key, "
            f"{self.requests - self.with_key} without): {self.server_errors} answers of 5xx, "
            f"{self.undocumented} undocumented",
        ]


SERVER_ERROR = "not_a_server_error"
