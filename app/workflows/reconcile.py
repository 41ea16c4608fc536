"""A reconciliation: our books beside the gateway's, for a period."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from app.activities.pages import PageDone
    from app.activities.reconciliation import PageInput, Reconciled, ReconciliationActivities
    from app.domain.gateway import Period
    from app.temporal import policies
    from app.workflows.deliver_callbacks import deliver_callbacks
    from app.workflows.messages import ReconcileInput
    from app.workflows.pages import through

# News that was passed on needs a moment to be taken in, and after an outage more than that.
FIRST_PAUSE = timedelta(seconds=2)
PAUSE_GROWTH = 3
# What the gateway reports in these last minutes may still be on its way to us.
NEWS_TAKES = timedelta(minutes=5)

_Step = Callable[[ReconciliationActivities, PageInput], Awaitable[PageDone]]
_STEPS: tuple[tuple[str, _Step], ...] = (
    ("events", ReconciliationActivities.take_in_events),
    ("payments", ReconciliationActivities.compare_payments),
    ("refunds", ReconciliationActivities.compare_refunds),
    ("disputes", ReconciliationActivities.compare_disputes),
    ("movements", ReconciliationActivities.compare_movements),
    ("what the gateway did not list", ReconciliationActivities.look_for_ours),
)


@workflow.defn
class ReconcileWorkflow:
    """Fetch missed news, compare both ways, pass on what was missed, look again, report."""

    @workflow.init
    def __init__(self, ask: ReconcileInput) -> None:
        self._ask = ask
        self._run_id = workflow.info().first_execution_run_id
        self._period = ask.period or _last(ask.hours)
        self._pages_left = ask.pages
        self._at = "the beginning"

    @workflow.run
    async def run(self, ask: ReconcileInput) -> Reconciled:
        await workflow.execute_activity_method(
            ReconciliationActivities.begin_reconciliation,
            self._page(None),
            summary="Note that it begins",
            **policies.RECORD,
        )
        for number in range(ask.step, len(_STEPS)):
            found = await self._step(number, ask.after if number == ask.step else None)
            if found:
                await deliver_callbacks()
        await self._let_news_settle()
        await self._pages("flags", ReconciliationActivities.flag_differences)
        reconciled: Reconciled = await workflow.execute_activity_method(
            ReconciliationActivities.finish_reconciliation,
            self._page(None),
            summary="Add everything up",
            **policies.RECONCILE,
        )
        self._show(f"the end: {reconciled.differences} differ, {reconciled.mended} were mended")
        return reconciled

    @workflow.query
    def progress(self) -> str:
        """Where it is, in words."""
        return self._at

    async def _step(self, number: int, after: str | None) -> int:
        """Page by page. A long history goes on in a new run."""
        name, act = _STEPS[number]
        found = 0
        while True:
            done = await self._one(name, act, after)
            found, after = found + done.count, done.after
            if after is None:
                return found
            self._pages_left -= 1
            if self._pages_left <= 0:
                if found:
                    await deliver_callbacks()
                workflow.continue_as_new(
                    replace(self._ask, period=self._period, step=number, after=after)
                )

    async def _pages(self, name: str, act: _Step) -> int:
        return await through(lambda after: self._one(name, act, after))

    async def _one(self, name: str, act: _Step, after: str | None) -> PageDone:
        self._show(name if after is None else f"{name}, from {after} on")
        return await workflow.execute_activity_method(
            act, self._page(after), summary=self._at, **policies.RECONCILE
        )

    async def _let_news_settle(self) -> None:
        """Look again at growing pauses, until nothing differs or it has stayed so for long."""
        pause, patience = FIRST_PAUSE, timedelta(seconds=self._ask.patience_seconds)
        ends_at = workflow.now() + patience
        while await self._pages("what differed, again", ReconciliationActivities.look_again):
            await deliver_callbacks()
            left = ends_at - workflow.now()
            if left <= timedelta():
                return
            await asyncio.sleep(min(pause, left).total_seconds())
            pause *= PAUSE_GROWTH

    def _page(self, after: str | None) -> PageInput:
        return PageInput(self._run_id, self._period, after)

    def _show(self, where: str) -> None:
        """What an operator sees in the Temporal UI."""
        self._at = where
        since, until = (f"{at:%Y-%m-%d %H:%M}" for at in (self._period.since, self._period.until))
        workflow.set_current_details(f"**Reconciliation {since} to {until} UTC**\n\nAt: {where}")


def _last(hours: int) -> Period:
    until = workflow.now().replace(microsecond=0) - NEWS_TAKES
    return Period(until - timedelta(hours=hours), until)
