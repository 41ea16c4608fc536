"""The judge of Stripe's interface: a validator and Stripe's own description, kept beside the repo.

`python -m tests.sandbox.judge RECORDS.jsonl` judges recorded exchanges and says what it found.
"""

import importlib.util
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.sandbox.program import REPO, Json

FOLDER = Path(os.environ.get("TILLFLOW_STRIPE_JUDGE", REPO.parent / "shared" / "stripe"))
REFUSALS = (400, 401, 404)

Complaint = tuple[str, str, str, str, str]


def is_here() -> bool:
    """Whether the judge is on this machine."""
    return (FOLDER / "validate.py").exists()


def complaints(record: Path, *, strict: bool) -> Counter[Complaint]:
    """What Stripe would not have been asked or answered, and how often it was."""
    specification = importlib.util.spec_from_file_location("validate", FOLDER / "validate.py")
    assert specification is not None
    assert specification.loader is not None
    judge: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(judge)
    stripe: Any = judge.Spec(FOLDER / "openapi-payments.json", "py")
    return Counter(
        (exchange["method"], exchange["path"].partition("?")[0], kind, place, message)
        for exchange in map(json.loads, record.read_text().splitlines())
        for kind, place, message in stripe.validate(exchange, strict)
        if not _excused(exchange, kind, place)
    )


def _excused(exchange: Json, kind: str, place: str) -> bool:
    """A request that was refused was wrong on purpose: only its answer is judged.

    And the strict judge takes every webhook endpoint or customer for a deleted one.
    """
    if kind in ("request", "route"):
        return exchange["status"] in REFUSALS
    return kind == "strict" and place.startswith("deleted_")


def main() -> None:
    """Judge, print, and exit 1 if there is anything to say."""
    if not is_here():
        sys.exit("The judge is not on this machine: name its folder in TILLFLOW_STRIPE_JUDGE.")
    record = Path(sys.argv[1])
    exchanges = [json.loads(line) for line in record.read_text().splitlines()]
    refused = sum(exchange["status"] in REFUSALS for exchange in exchanges)
    found = 0
    for strict in (False, True):
        for complaint, times in complaints(record, strict=strict).most_common():
            found += 1
            print(times, *complaint, sep=" | ")  # noqa: T201
    print(  # noqa: T201
        f"traffic: {len(exchanges)} exchanges, {refused} refused on purpose, {found} complaints"
    )
    sys.exit(1 if found or not exchanges else 0)


if __name__ == "__main__":
    main()
