"""What happens by itself: capture windows close, refunds settle, disputes arrive."""

import asyncio
import contextlib
from collections.abc import Callable

from sandbox.attempts import EXPIRE_CAPTURE, RAISE_DISPUTE, expire_capture
from sandbox.context import Context
from sandbox.disputes import raise_dispute
from sandbox.refunds import SETTLE_REFUND, settle_refund

_ACTIONS: dict[str, Callable[[Context, str], None]] = {
    EXPIRE_CAPTURE: expire_capture,
    RAISE_DISPUTE: raise_dispute,
    SETTLE_REFUND: settle_refund,
}
_IDLE = 60.0


class Timers:
    """Runs due timers, each in a transaction of its own that also removes it."""

    def __init__(self, context: Context, after_commit: Callable[[], None]) -> None:
        self._context = context
        self._after_commit = after_commit
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for something due now."""
        self._wake.set()

    def run_due(self) -> None:
        """Do everything that is due by the sandbox's clock, oldest first."""
        store = self._context.store
        while True:
            row = store.db.execute(
                "SELECT id, action, object FROM timers WHERE due <= ? ORDER BY due, id LIMIT 1",
                (self._context.clock.now(),),
            ).fetchone()
            if row is None:
                return
            timer_id, action, object_id = row
            with store.transaction():
                store.db.execute("DELETE FROM timers WHERE id = ?", (timer_id,))
                _ACTIONS[action](self._context, object_id)
            self._after_commit()

    async def run(self) -> None:
        """Wait for the next timer, for ever."""
        while True:
            self._wake.clear()
            self.run_due()
            (due,) = self._context.store.db.execute("SELECT min(due) FROM timers").fetchone()
            left = _IDLE if due is None else min(_IDLE, due - self._context.clock.now())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    await self._wake.wait()
