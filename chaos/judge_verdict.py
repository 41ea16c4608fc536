"""What the judge says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Invariant:
    """What must hold, how much of what was looked at, and where it does not hold."""

    number: int
    sentence: str
    figures: dict[str, int]
    breaches: list[str]


@dataclass(frozen=True)
class Verdict:
    """What was found: how many orders were charged twice and how many were lost, how many things
    are otherwise not as they must be, and how far our figures are from the gateway's, in minor
    units by currency. Two errors never cancel each other out: it is a sum of distances."""

    invariants: list[Invariant]
    charged_twice: int
    lost: int
    unexplained: int
    difference: dict[str, int]

    @property
    def clean(self) -> bool:
        """Whether every invariant holds."""
        return not any(invariant.breaches for invariant in self.invariants)
