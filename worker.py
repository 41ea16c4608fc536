"""The Temporal worker: takes parts from wiring, registers them, runs until told to stop."""

import asyncio
import os
import signal
import sys
from datetime import timedelta

import structlog
from temporalio.worker import Worker

from app.config import Settings
from app.logs import configure
from app.temporal.schedules import ensure_schedules
from app.wiring import build
from app.workflows.deliver_callbacks import DeliverCallbacksWorkflow
from app.workflows.dispute import DisputeWorkflow
from app.workflows.late_event import LateEventWorkflow
from app.workflows.payment import PaymentWorkflow
from app.workflows.refund import RefundWorkflow

WORKFLOWS = [
    PaymentWorkflow,
    RefundWorkflow,
    DisputeWorkflow,
    LateEventWorkflow,
    DeliverCallbacksWorkflow,
]
DRAIN = timedelta(seconds=25)


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish what is under way within 25 seconds."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    parts = await build(settings)
    try:
        await ensure_schedules(parts.temporal, settings.task_queue)
        async with Worker(
            parts.temporal,
            task_queue=settings.task_queue,
            workflows=WORKFLOWS,
            activities=parts.activities(),
            graceful_shutdown_timeout=DRAIN,
            # After a crash the next worker gets the workflow in a second instead of ten.
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        ):
            structlog.get_logger().info("worker ready", task_queue=settings.task_queue)
            await stop.wait()
    finally:
        await parts.close()


def main() -> None:
    """Entry point."""
    settings = Settings()
    configure(settings.log_level)
    asyncio.run(run(settings))
    # Everything is closed. Temporal's own threads may still be about, and would abort a Python that
    # is shutting down around them.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
