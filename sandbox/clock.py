"""The sandbox's time: the machine's, plus whatever it was told to skip."""

import time


class Clock:
    """Seconds since 1970, moved forward by `offset` seconds.

    `skew` is by how many seconds the clock that dates signatures goes wrong.
    """

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset
        self.skew = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def wall(self) -> int:
        """The machine's own time, and the skew: signatures are judged by a receiver that skipped
        nothing."""
        return int(time.time() + self.skew)
