"""A callback that was changed on its way is not believed."""

from tests.doors.mutate import send_mutations
from tests.doors.mutations import KINDS
from tests.walk.running import Running


async def test_no_mutated_callback_is_taken_and_none_breaks_anything(running: Running) -> None:
    """The short form of `make mutations`: each kind, of both forms, and as many bit flips twice."""
    figures = await send_mutations(running, count=6 * len(KINDS), seed=1)
    assert figures.wrong == []
    assert (figures.accepted, figures.faults, figures.stored) == (0, 0, 0)
    assert figures.unchanged_taken == figures.unchanged > 0
    assert len(figures.sent) == 2 * len(KINDS)
    assert figures.good
