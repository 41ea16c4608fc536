"""Everything the other tests recorded, read by the judge of Stripe's interface."""

from pathlib import Path

import pytest

from tests.sandbox import judge

pytestmark = [
    pytest.mark.skipif(not judge.is_here(), reason="the judge is not on this machine"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
def test_every_exchange_is_one_that_stripe_could_have_had(record: Path, strict: bool) -> None:
    assert record.read_text(), "no other test ran"
    assert not judge.complaints(record, strict=strict)
