"""A limit on calls a second, as a bucket that fills up again by itself."""

import time


class RateLimit:
    """At most `calls_a_second`, and as many at once; 0 means no limit.

    By the machine's time: skipping the sandbox's clock is no reason for a burst.
    """

    def __init__(self, calls_a_second: int) -> None:
        self._most = float(calls_a_second)
        self._left = self._most
        self._seen = time.monotonic()

    def allows(self) -> bool:
        """Whether one more call is within the limit; it counts if it is."""
        if self._most == 0:
            return True
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._most)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
