"""`tillflow reconcile`: has a worker compare a period with the gateway's books, and tells what it
found."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from app.config import Settings
from app.db.engine import create_engine
from app.db.reconciliation import PostgresReconciliations
from app.domain.gateway import Period
from app.domain.money import shown
from app.domain.reconciliation import Count, Finding, Kind, Line, Report, Verdict
from app.temporal import names
from app.temporal.client import connect
from app.temporal.policies import RPC_TIMEOUT
from app.workflows.messages import ReconcileInput
from app.workflows.reconcile import ReconcileWorkflow

_ASK_EVERY_SECONDS = 1.0
_ENDS_WITHIN = timedelta(days=1)
_WORDS = {
    Verdict.MATCHES: "match",
    Verdict.MENDED: "mended",
    Verdict.OPEN: "under way",
    Verdict.FOREIGN: "not ours",
    Verdict.DIFFERS: "differ",
    Verdict.MISSING_HERE: "missing here",
    Verdict.MISSING_THERE: "missing at the gateway",
    Verdict.UNREADABLE: "unreadable",
}


class NoTemporalError(Exception):
    """Temporal could not be reached. The text is for a person."""


async def reconcile(settings: Settings, period: Period, say: Callable[[str], None]) -> Report:
    """The report of the period; `say` is told how far it is. The work goes on in the worker if this
    is interrupted, and the same command joins it. Raises NoTemporalError and
    RecordsUnavailableError."""
    engine = create_engine(settings.database_url.get_secret_value())
    try:
        client = await connect(settings)
        workflow = await client.start_workflow(
            ReconcileWorkflow.run,
            ReconcileInput(period),
            id=names.reconcile_workflow_id(period.since, period.until),
            task_queue=settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=_ENDS_WITHIN,
            static_summary="Compare a period with the gateway's books",
            rpc_timeout=RPC_TIMEOUT,
        )
        telling = asyncio.create_task(_tell(workflow, say))
        try:
            done = await workflow.result()
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
        report = await PostgresReconciliations(engine).find(done.reconciliation_id)
    except (RPCError, RuntimeError) as error:  # RuntimeError: it could not even connect
        where = settings.temporal_address
        raise NoTemporalError(f"Temporal cannot be reached at {where}") from error
    finally:
        await engine.dispose()
    if report is None:
        raise LookupError(done.reconciliation_id)
    return report


async def _tell(workflow: WorkflowHandle[Any, Any], say: Callable[[str], None]) -> None:
    """Each stage once. A worker answers: without one there is nothing to tell."""
    told = ""
    while True:
        try:
            at = await workflow.query(ReconcileWorkflow.progress, rpc_timeout=RPC_TIMEOUT)
        except RPCError:
            at = "waiting for a worker"
        if at != told:
            say(at)
        told = at
        await asyncio.sleep(_ASK_EVERY_SECONDS)


def lines(report: Report) -> list[str]:
    """The report as it is printed."""
    since, until = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (report.period.since, report.period.until))
    told = [f"Reconciliation of {since} to {until} UTC", ""]
    told += [_counted(kind, [c for c in report.counts if c.kind is kind]) for kind in Kind]
    if report.sums:
        told += ["", f"{'':16}{'here':>18}{'at the gateway':>18}{'difference':>18}"]
        told += map(_sum, report.sums)
    if report.differences:
        told += ["", *map(_difference, report.differences)]
    not_shown = report.difference_count - len(report.differences)
    if not_shown:
        told.append(f"and {not_shown} more")
    return [*told, "", f"{report.difference_count} differences"]


def _counted(kind: Kind, counts: list[Count]) -> str:
    words = [f"{count.count} {_WORDS[count.verdict]}" for count in counts]
    return f"{kind + 's':<16}{', '.join(words) or 'none'}"


def _sum(line: Line) -> str:
    amounts = (line.ours, line.theirs, line.difference)
    return f"{line.figure:<16}" + "".join(f"{shown(a, line.currency):>18}" for a in amounts)


def _difference(finding: Finding) -> str:
    order = f"order {finding.order_id}" if finding.order_id is not None else "no order"
    return f"{order}: {finding}"
