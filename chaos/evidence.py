"""What the judge goes by: what storefronts were promised, and where to see what became of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from temporalio.client import Client


class Kind(StrEnum):
    """What was asked."""

    INITIATE = "initiate"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"


@dataclass(frozen=True)
class Acknowledged:
    """One request that was answered 2xx, and the answer. `amount_minor` is what was asked for, in
    minor units: where the request named none (capture all, refund the rest, cancel), what that came
    to by the storefront's own reckoning."""

    order_id: str
    kind: Kind
    amount_minor: int
    currency: str
    status_code: int
    answer: dict[str, Any]


class Acknowledgements:
    """An append-only file, a line of JSON for each: what was written survives its writer."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, acknowledged: Acknowledged) -> None:
        """Write it down before anything else is done with the answer."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(acknowledged)) + "\n")

    def read(self) -> list[Acknowledged]:
        """All there are. A last line that was cut off by a crash was never acted on."""
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        return [_acknowledged(json.loads(line)) for line in whole.splitlines()]


def _acknowledged(line: dict[str, Any]) -> Acknowledged:
    return Acknowledged(**{**line, "kind": Kind(line["kind"])})


@dataclass(frozen=True)
class Evidence:
    """Where to look. Everything must serve, and be at rest: no fault, no load, nothing to deliver.

    `left_open` are the orders that the plan leaves undecided: held for a capture that does not
    come, or under dispute. `stock` is how many of each article there were before the first order.
    """

    acknowledged: list[Acknowledged]
    database_url: str
    temporal: Client
    sandbox_url: str
    stock: Mapping[str, int] = field(default_factory=dict)
    left_open: frozenset[str] = frozenset()
    task_queue: str = "tillflow"
