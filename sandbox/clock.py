"""The sandbox's time: the machine's, plus whatever it was told to skip."""

import time


class Clock:
    """Seconds since 1970, moved forward by `offset` seconds."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def now(self) -> float:
        return time.time() + self.offset

    def wall(self) -> int:
        """The machine's own time: signatures are judged by a receiver that skipped nothing."""
        return int(time.time())
