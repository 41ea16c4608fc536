"""An operation whose outcome the gateway has not told, until it is known."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from temporalio import workflow

from app.activities.unknown import NoteUnknownInput, UnknownActivities
from app.domain.facts import Event, Fact, Source
from app.domain.unknown import Operation, Resolution, UnknownOutcome
from app.temporal import policies
from app.workflows.messages import ResolveInput

# What the gateway does not know this long after we sent it never arrived.
ABSENCE_PROVEN_AFTER = timedelta(seconds=60)
FIRST_PAUSE = timedelta(seconds=1)
PAUSE_AFTER_A_MINUTE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=5)
# Past the age limit an operator is waited for.
SLOW_PAUSE = timedelta(hours=1)
# Payments that were under way before unknown outcomes were noted go on without.
IS_NOTED = "unknown outcomes are noted"


def jittered(pause: timedelta) -> timedelta:
    """Up to a fifth longer: payments that an outage stopped together do not come back together."""
    return pause * (1 + workflow.random().random() / 5)


class Unknown:
    """One operation at a time. The records show it, and when the gateway is asked next.

    Past the age limit `flag` gets told, and again that long after a decision that could not be
    acted upon; only the gateway's news or an operator's decision ends it then. `show` is called
    when there is something new to show.
    """

    def __init__(
        self,
        order_id: str,
        age_limit_seconds: float,
        flag: Callable[[str], Awaitable[None]],
        show: Callable[[], None],
        refund: str = "",
    ) -> None:
        self._order_id = order_id
        self._age_limit = timedelta(seconds=age_limit_seconds)
        self._flag = flag
        self._show = show
        self._refund = refund
        self._outcome: UnknownOutcome | None = None
        self._sent_at = workflow.now()
        self._checks = 0
        self._noted = False
        self._worry: str | None = None
        self._worry_at = self._sent_at
        self.decision: ResolveInput | None = None
        self.is_called = False

    def __bool__(self) -> bool:
        return self._outcome is not None

    @property
    def is_old(self) -> bool:
        """Whether it is past its age limit: the gateway may have forgotten our key."""
        outcome = self._outcome
        return outcome is not None and workflow.now() - outcome.since >= self._age_limit

    @property
    def awaited(self) -> str:
        """What is waited for, in words."""
        if self._outcome is None or self._outcome.next_check_at is None:
            return "a look-up: the gateway did not answer"
        what = f"the outcome of the {self._outcome.operation}, unknown"
        since, next_ = self._outcome.since, self._outcome.next_check_at
        return f"{what} since {since:%Y-%m-%d %H:%M:%S} UTC; next check {next_:%H:%M:%S} UTC"

    def begin(self, operation: Operation, *, checks: int = 0) -> None:
        """What was sent just now may have been done. `checks` were made already."""
        self._sent_at = workflow.now()
        self._checks = checks
        if self._outcome is None:
            self._outcome = UnknownOutcome(operation, self._sent_at, None, self._refund)
            self._worry_at = self._sent_at + self._age_limit

    async def next_check(self, pause: timedelta | None = None) -> timedelta:
        """How long to wait for the next check: `pause` or, without one, the usual one; as noted in
        the records."""
        outcome = self._outcome
        if outcome is None:
            return timedelta()
        if self._worry is None and workflow.now() >= self._worry_at:
            self._worry = _worry(outcome)
            await self._flag(self._worry)
        wait = jittered(pause) if pause is not None else self._usual_pause()
        left = outcome.since + self._age_limit - workflow.now()
        if self._is_decided_undone:  # it only waits for the gateway's word
            wait = self._usual_pause()
        elif left > timedelta():
            wait = min(wait, left)
        else:
            wait = SLOW_PAUSE
        self._checks += 1
        self._outcome = replace(outcome, next_check_at=workflow.now() + wait)
        await self._note(self._outcome)
        self._show()
        return wait

    def is_absent(self, looked_at: datetime, *, told: bool) -> bool:
        """Whether it is certain that nothing was done, after a look-up that found nothing. It was
        begun at `looked_at`; `told` says that the gateway answered it: nobody is believed before
        it was asked."""
        if self._outcome is None or not told:
            return False
        return self._is_decided_undone or (self.has_arrived(looked_at) and not self.is_old)

    def has_arrived(self, by: datetime) -> bool:
        """Whether what was sent last is not on its way any more."""
        return by - self._sent_at >= ABSENCE_PROVEN_AFTER

    def has_checked(self, decision: ResolveInput | None) -> None:
        """A check was made with that decision of an operator's. That nothing was done stands until
        the gateway has answered."""
        if self.decision is decision:
            self.is_called = False
            if not self._is_decided_undone:
                self.decision = None

    async def is_over(self) -> None:
        """The outcome is known."""
        self.decision, self.is_called = None, False
        if self._outcome is None:
            return
        known = replace(self._outcome, next_check_at=None)
        self._outcome, self._worry = None, None
        if self._noted:
            await self._note(known)
            self._noted = False
        self._show()

    def resolved(self, ask: ResolveInput, attempt: int) -> Fact:
        """An operator's decision, to be recorded. It settles what they were called for."""
        operation = self._outcome.operation if self._outcome is not None else ""
        settled: tuple[str, ...] = ()
        if ask.outcome is Resolution.NOT_CHARGED and self._worry is not None:
            settled, self._worry = (self._worry,), None
            self._worry_at = workflow.now() + self._age_limit
        return Fact(
            Event.RESOLVED,
            workflow.now(),
            Source.OPERATOR,
            attempt=attempt,
            reference=ask.transaction_id,
            reason=f"{operation} {ask.outcome}: {ask.reason}",
            actor=ask.actor,
            acknowledged=settled,
        )

    async def decide(self, ask: ResolveInput) -> None:
        """Have the next check made now, with the operator's decision. Returns once it was made."""
        self.decision, self.is_called = ask, True
        await workflow.wait_condition(lambda: self.decision is not ask or not self.is_called)

    @property
    def _is_decided_undone(self) -> bool:
        return self.decision is not None and self.decision.outcome is Resolution.NOT_CHARGED

    def _usual_pause(self) -> timedelta:
        left = self._sent_at + ABSENCE_PROVEN_AFTER - workflow.now()
        if left > timedelta():  # the last of these checks is the one that can prove it
            return min(jittered(FIRST_PAUSE * 4 ** min(self._checks, 4)), left)
        lasted = workflow.now() - self._sent_at
        return jittered(min(max(lasted / 2, PAUSE_AFTER_A_MINUTE), LONGEST_PAUSE))

    async def _note(self, outcome: UnknownOutcome) -> None:
        if not workflow.patched(IS_NOTED):
            return
        self._noted = True
        await workflow.execute_local_activity_method(
            UnknownActivities.note_unknown,
            NoteUnknownInput(self._order_id, outcome),
            summary=f"{outcome.operation}: next check {outcome.next_check_at or 'not needed'}",
            **policies.RECORD,
        )


def _worry(outcome: UnknownOutcome) -> str:
    what = f"refund {outcome.refund}" if outcome.refund else f"the {outcome.operation}"
    since, now = (f"{at:%Y-%m-%d %H:%M:%S} UTC" for at in (outcome.since, workflow.now()))
    return f"the outcome of {what} is unknown since {since}, still at {now}: resolve it"
