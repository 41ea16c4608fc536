"""The last file at the doors, which have a stack of their own: whatever was sent to them has left
its traces."""

from tests.sweep.left import no_card_is_left
from tests.walk.running import Running


async def test_no_card_is_left_anywhere(running: Running) -> None:
    await no_card_is_left(running)
