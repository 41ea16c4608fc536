"""How a sweep ends: what it says last, and whether it has passed."""

from collections.abc import Sequence

FAILED, NOT_EVERYWHERE = 1, 2


def ending(said: str, *, sound: bool, unseen: Sequence[str]) -> tuple[str, int]:
    """The last line and the exit status, where `unseen` are the places that it could not look at.
    Nothing found there is nothing known."""
    if unseen:
        said += f"; NOT LOOKED AT, since only root may: {', '.join(unseen)}"
    if not sound:
        return said, FAILED
    return said, NOT_EVERYWHERE if unseen else 0
