"""The API answers as its own description says, whoever asks whatever."""

from app.domain.api_keys import Scope
from fuzz.run import run_round
from fuzz.tally import Tally
from fuzz.visitors import GATEWAY
from tests.walk.running import Running

_EVERYONE = frozenset(["every scope", Scope.OPERATOR, GATEWAY, "no key"])


async def test_no_answer_is_our_fault_or_undocumented_with_a_key_or_without(
    running: Running,
) -> None:
    """The short form of `make fuzz`."""
    tally, said = Tally(), list[str]()
    await run_round(
        running.stack, tally, 1, 2, ("examples", "fuzzing"), only=_EVERYONE, say=said.append
    )
    told = "\n".join(tally.lines())
    assert tally.clean, told
    assert len(said) == len(_EVERYONE)
    assert 0 < tally.with_key < tally.requests
    # It came past the keys and past the signature, or little was tried.
    assert {200, 400, 401, 403, 404} <= tally.statuses.keys(), told
