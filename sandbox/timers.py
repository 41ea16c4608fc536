"""What happens by itself: debits and refunds settle, captures expire, disputes come and go."""

import asyncio
import contextlib
from collections.abc import Callable

from sandbox.attempts import EXPIRE_CAPTURE, RAISE_DISPUTE, expire_capture
from sandbox.context import Context
from sandbox.debit_payments import SETTLE_DEBIT, settle_debit
from sandbox.disputes import EXPIRE_DISPUTE, expire_dispute, raise_ordered_dispute
from sandbox.errors import missing, unfit
from sandbox.refunds import SETTLE_REFUND, settle_refund

_ACTIONS: dict[str, Callable[[Context, str], None]] = {
    EXPIRE_CAPTURE: expire_capture,
    EXPIRE_DISPUTE: expire_dispute,
    RAISE_DISPUTE: raise_ordered_dispute,
    SETTLE_DEBIT: settle_debit,
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
            self._run(*row)

    def settle(self, object_id: str) -> list[str]:
        """Do now what is pending for an object, a payment intent's latest charge included.

        The names of what was done. Raises ApiError: 404 for an unknown object, 422 when nothing
        is pending.
        """
        store = self._context.store
        kind = store.kind(object_id)
        if kind is None:
            raise missing("object", object_id)
        charge_id = None
        if kind == "payment_intent":
            charge_id = self._context.get(kind, object_id).body["latest_charge"]
        rows = store.db.execute(
            "SELECT id, action, object FROM timers WHERE object IN (?, ?) ORDER BY due, id",
            (object_id, charge_id),
        ).fetchall()
        if not rows:
            raise unfit("Nothing is pending for this object.")
        for row in rows:
            self._run(*row)
        return [action for _, action, _ in rows]

    def _run(self, timer_id: int, action: str, object_id: str) -> None:
        store = self._context.store
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
