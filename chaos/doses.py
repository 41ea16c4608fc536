"""What was really done to the system, counted, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Dose:
    """One kind of fault: how many were `planned` and `given`, what one of them is, and what
    happened, in numbers with their names. `not_done` says why it could not be done here."""

    fault: str
    unit: str
    planned: int = 0
    given: int = 0
    happened: dict[str, int] = field(default_factory=dict)
    not_done: str | None = None

    @property
    def units(self) -> str:
        """More of them than one."""
        return f"{self.unit[:-1]}ies" if self.unit.endswith("y") else f"{self.unit}s"

    def saw(self, what: str, count: int = 1) -> None:
        """Something came of it."""
        if count:
            self.happened[what] = self.happened.get(what, 0) + count

    def __add__(self, other: "Dose") -> "Dose":
        total = Dose(
            self.fault,
            self.unit,
            self.planned + other.planned,
            self.given + other.given,
            dict(self.happened),
            self.not_done or other.not_done,
        )
        for what, count in other.happened.items():
            total.saw(what, count)
        return total


def summed(doses: Iterable[Dose]) -> list[Dose]:
    """One for each kind of fault, in the order of their first appearance."""
    totals: dict[str, Dose] = {}
    for dose in doses:
        known = totals.get(dose.fault)
        totals[dose.fault] = dose if known is None else known + dose
    return list(totals.values())
