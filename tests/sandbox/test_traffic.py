"""Everything the other tests recorded, read by the judge of Stripe's interface."""

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.program import REPO, Json

_JUDGE = Path(os.environ.get("TILLFLOW_STRIPE_JUDGE", REPO.parent / "shared" / "stripe"))
_REFUSALS = (400, 401, 404)

pytestmark = [
    pytest.mark.skipif(
        not (_JUDGE / "validate.py").exists(), reason="the judge is not on this machine"
    ),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


def _excused(exchange: Json, kind: str, place: str) -> bool:
    """A request that was refused was wrong on purpose: only its answer is judged.

    And the strict judge takes every webhook endpoint or customer for a deleted one.
    """
    if kind in ("request", "route"):
        return exchange["status"] in _REFUSALS
    return kind == "strict" and place.startswith("deleted_")


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
def test_every_exchange_is_one_that_stripe_could_have_had(record: Path, strict: bool) -> None:
    specification = importlib.util.spec_from_file_location("validate", _JUDGE / "validate.py")
    assert specification is not None
    assert specification.loader is not None
    judge: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(judge)
    stripe: Any = judge.Spec(_JUDGE / "openapi-payments.json", "py")
    exchanges = [json.loads(line) for line in record.read_text().splitlines()]
    assert exchanges, "no other test ran"
    complaints = {
        (exchange["method"], exchange["path"].partition("?")[0], kind, place, message)
        for exchange in exchanges
        for kind, place, message in stripe.validate(exchange, strict)
        if not _excused(exchange, kind, place)
    }
    assert not complaints
