"""The Temporal worker: takes parts from wiring, registers them, runs until told to stop."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import structlog
from temporalio.worker import Worker

from app.config import Settings
from app.db.roles import RoleError
from app.logs import configure
from app.memory import keep_out_of_dumps
from app.temporal.schedules import ensure_schedules
from app.wiring import Parts, build
from app.workflows.deliver_callbacks import DeliverCallbacksWorkflow
from app.workflows.dispute import DisputeWorkflow
from app.workflows.erase_personal_data import ErasePersonalDataWorkflow
from app.workflows.late_event import LateEventWorkflow
from app.workflows.payment import PaymentWorkflow
from app.workflows.reconcile import ReconcileWorkflow
from app.workflows.refund import RefundWorkflow
from app.workflows.start_stranded import StartStrandedWorkflow

WORKFLOWS = [
    PaymentWorkflow,
    RefundWorkflow,
    DisputeWorkflow,
    LateEventWorkflow,
    DeliverCallbacksWorkflow,
    StartStrandedWorkflow,
    ReconcileWorkflow,
    ErasePersonalDataWorkflow,
]
# Of the 25 seconds that a process has to end; the rest is for letting go of connections. An answer
# of the gateway's takes 20 at most.
DRAIN = timedelta(seconds=22)


async def run(settings: Settings) -> None:
    """Work with all parts as wired until told to stop."""
    parts = await build(settings)
    try:
        await ensure_schedules(parts.temporal, settings.task_queue)
        await work(parts)
    finally:
        await parts.close()


async def work(parts: Parts, activities_at_once: int | None = None) -> None:
    """Work until SIGTERM or SIGINT, then finish what is under way within 25 seconds.

    `activities_at_once` is the SDK's own choice if None.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    task_queue = parts.settings.task_queue
    async with Worker(
        parts.temporal,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=parts.activities(),
        max_concurrent_activities=activities_at_once,
        graceful_shutdown_timeout=DRAIN,
        # After a crash the next worker gets the workflow in a second instead of ten.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
    ):
        structlog.get_logger().info("worker ready", task_queue=task_queue)
        await stop.wait()


def main() -> None:
    """Entry point."""
    keep_out_of_dumps()
    settings = Settings()
    configure(settings.log_level)
    try:
        asyncio.run(run(settings))
    except RoleError as error:
        sys.exit(f"tillflow: {error}")
    # Everything is closed. Temporal's own threads may still be about, and would abort a Python that
    # is shutting down around them.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
