"""Comparing a period's money with the gateway's, page by page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from temporalio import activity

from app.activities.comparing import Comparing, Judged, Seen
from app.activities.failures import reported
from app.activities.learnt import now
from app.activities.pages import PageDone
from app.domain.facts import Event, Fact, Source
from app.domain.gateway import Gateway, Period
from app.domain.ledger import ACCOUNT_MOVEMENTS
from app.domain.reconciliation import (
    DIFFERENCES,
    UNSETTLED,
    Finding,
    Kind,
    Ours,
    Reconciliations,
    Verdict,
)
from app.domain.records import Records

_AT_ONCE = 50


@dataclass(frozen=True)
class PageInput:
    """A page of a reconciliation's work: what follows `after`."""

    reconciliation_id: str
    period: Period
    after: str | None = None


@dataclass(frozen=True)
class Reconciled:
    """What it came to: how many things differ, and how many were mended. The report is in our
    records."""

    reconciliation_id: str
    differences: int
    mended: int


class ReconciliationActivities:
    """What was missed goes into the inbox; whoever asks for these sees that it is delivered. They
    count what is news, or does not agree yet."""

    def __init__(
        self,
        gateway: Gateway,
        records: Records,
        reconciliations: Reconciliations,
    ) -> None:
        self._gateway = gateway
        self._records = records
        self._reconciliations = reconciliations
        self._comparing = Comparing(gateway, records)

    @activity.defn
    async def begin_reconciliation(self, page: PageInput) -> None:
        """Note that it begins."""
        async with reported():
            await self._reconciliations.begin(page.reconciliation_id, page.period)

    @activity.defn
    async def take_in_events(self, page: PageInput) -> PageDone:
        """Put what the gateway has reported, and we have not heard, into the inbox."""
        async with reported():
            listed = await self._gateway.list_events(page.period, page.after)
            findings = _unreadable(Kind.EVENT, listed.unreadable)
            for event in listed.items:
                taken = await self._records.take_callback(event)
                judged = Verdict.MENDED if taken.new else Verdict.MATCHES
                if taken.order_id is None:
                    judged = Verdict.FOREIGN
                findings.append(Finding(Kind.EVENT, event.event_id, judged, taken.order_id))
            await self._reconciliations.keep(page.reconciliation_id, findings)
            return PageDone(_count(findings, Verdict.MENDED), listed.after)

    @activity.defn
    async def compare_payments(self, page: PageInput) -> PageDone:
        """A page of the gateway's payments."""
        async with reported():
            listed = await self._gateway.list_payments(page.period, page.after)
            odd = _unreadable(Kind.PAYMENT, listed.unreadable)
            return PageDone(await self._compare(page, listed.items, odd), listed.after)

    @activity.defn
    async def compare_refunds(self, page: PageInput) -> PageDone:
        """A page of the gateway's refunds."""
        async with reported():
            listed = await self._gateway.list_refunds(page.period, page.after)
            odd = _unreadable(Kind.REFUND, listed.unreadable)
            return PageDone(await self._compare(page, listed.items, odd), listed.after)

    @activity.defn
    async def compare_disputes(self, page: PageInput) -> PageDone:
        """A page of the gateway's disputes."""
        async with reported():
            listed = await self._gateway.list_disputes(page.period, page.after)
            odd = _unreadable(Kind.DISPUTE, listed.unreadable)
            return PageDone(await self._compare(page, listed.items, odd), listed.after)

    @activity.defn
    async def compare_movements(self, page: PageInput) -> PageDone:
        """A page of the movements of our balance: fees are kept with their order, and what is of no
        order, as payouts are, in the ledger."""
        async with reported():
            listed = await self._gateway.list_movements(page.period, page.after)
            findings = _unreadable(Kind.FEE, listed.unreadable)
            of_no_order = [m for m in listed.items if m.kind in ACCOUNT_MOVEMENTS]
            await self._records.keep_account_movements(of_no_order)
            for movement in listed.items:
                if movement.kind not in ACCOUNT_MOVEMENTS and movement.fee:
                    findings.append(await self._comparing.fee(movement))
            await self._reconciliations.keep(page.reconciliation_id, findings)
            return PageDone(_count(findings), listed.after)

    @activity.defn
    async def look_for_ours(self, page: PageInput) -> PageDone:
        """Ask for what we learnt in the period and the gateway did not list in it."""
        async with reported():
            wanted = await self._reconciliations.unseen(
                page.reconciliation_id, page.after or "", _AT_ONCE
            )
            findings = [await self._comparing.look(ours) for ours in wanted]
            await self._settle(page, findings)
            more = wanted[-1].place if len(wanted) == _AT_ONCE else None
            return PageDone(_count(finding for finding, _ in findings), more)

    @activity.defn
    async def look_again(self, page: PageInput) -> PageDone:
        """Ask once more for what differed: the news of it has been passed on since. It counts what
        differs still."""
        async with reported():
            after = int(page.after or 0)
            found = await self._reconciliations.unsettled(page.reconciliation_id, after, _AT_ONCE)
            findings = [
                await self._looked_at_again(old, old.order_id)
                for _, old in found
                if old.order_id is not None and old.kind is not Kind.FEE
            ]
            await self._settle(page, findings)
            more = str(found[-1][0]) if len(found) == _AT_ONCE else None
            return PageDone(_count((finding for finding, _ in findings), *DIFFERENCES), more)

    @activity.defn
    async def flag_differences(self, page: PageInput) -> PageDone:
        """What still differs needs somebody's attention. A repetition changes nothing."""
        async with reported():
            after = int(page.after or 0)
            found = await self._reconciliations.differences(page.reconciliation_id, after, _AT_ONCE)
            for _, finding in found:
                if finding.order_id is not None:
                    reason = f"reconciliation up to {page.period.until:%Y-%m-%d}: {finding}"
                    flag = Fact(Event.FLAGGED, now(), Source.RECONCILIATION, reason=reason)
                    await self._records.append(finding.order_id, [flag])
            return PageDone(len(found), str(found[-1][0]) if len(found) == _AT_ONCE else None)

    @activity.defn
    async def finish_reconciliation(self, page: PageInput) -> Reconciled:
        """Add everything up."""
        async with reported():
            await self._reconciliations.finish(page.reconciliation_id)
            report = await self._reconciliations.find(page.reconciliation_id)
            if report is None:
                raise LookupError("the report was deleted while it was written")
            return Reconciled(
                page.reconciliation_id, report.difference_count, report.counted(Verdict.MENDED)
            )

    async def _compare(
        self, page: PageInput, listed: Sequence[Seen], unreadable: list[Finding]
    ) -> int:
        findings = [await self._comparing.judged(seen) for seen in listed]
        await self._settle(page, findings)
        await self._reconciliations.keep(page.reconciliation_id, unreadable)
        return _count(finding for finding, _ in findings)

    async def _settle(self, page: PageInput, findings: Sequence[Judged]) -> None:
        """Keep what was found, and pass on what we had missed: by the inbox, as if the gateway had
        reported it, so that it goes the way of all news."""
        await self._reconciliations.keep(page.reconciliation_id, [f for f, _ in findings])
        for _, event in findings:
            if event is not None:
                await self._records.take_callback(event)

    async def _looked_at_again(self, old: Finding, order_id: str) -> Judged:
        wanted = Ours(old.kind, old.reference, order_id)
        finding, news = await self._comparing.look(wanted, old.transaction_id)
        # A refund that had our name only may have an id by now: it is still the same thing.
        return replace(finding, reference=old.reference), news


def _unreadable(kind: Kind, ids: Iterable[str]) -> list[Finding]:
    return [Finding(kind, id_, Verdict.UNREADABLE) for id_ in ids]


def _count(findings: Iterable[Finding], *verdicts: Verdict) -> int:
    """How many came to one of `verdicts`, or else do not agree yet."""
    return sum(finding.verdict in (verdicts or UNSETTLED) for finding in findings)
