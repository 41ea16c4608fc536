"""Many workers of a test build, on one task queue: each does one activity at a time, and one that
dies at a crash point is replaced at once.

    python -m chaos.crashing_worker FOLDER COUNT

Everything is imported once, before the processes part: a new one is at work in a fraction of a
second, where a new Python would take two.
"""

import asyncio
import gc
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from temporalio.worker._worker import load_default_build_id

from app.config import Settings
from app.db.engine import create_engine
from app.db.records import PostgresRecords
from app.embedded.process import die_with_parent
from app.logs import configure
from app.wiring import build_gateway
from chaos.crash_parts import build_watched
from chaos.crash_points import Boundaries, CrashPoints
from worker import work


def main() -> None:
    """Until killed. Ends when a worker ends in any other way than by a crash point."""
    points, count = CrashPoints(Path(sys.argv[1])), int(sys.argv[2])
    settings = Settings()
    configure(settings.log_level)
    # What each worker would have to do for itself, from here on they share.
    asyncio.run(_warm_up(settings))
    load_default_build_id()
    gc.freeze()
    workers = {_fork(settings, points) for _ in range(count)}
    while True:
        pid, status = os.wait()
        workers.remove(pid)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(f"worker {pid} ended by itself: {os.waitstatus_to_exitcode(status)}")
        workers.add(_fork(settings, points))


def _fork(settings: Settings, points: CrashPoints) -> int:
    """One more worker; its process id."""
    parent, tie = os.getpid(), die_with_parent(signal.SIGKILL)
    pid = os.fork()
    if pid:
        return pid
    tie()
    if os.getppid() != parent:
        os._exit(1)
    try:
        asyncio.run(_work(settings, Boundaries(points)))
    except BaseException:
        traceback.print_exc()
    os._exit(1)  # it was not to end, and must not go on as its parent


async def _warm_up(settings: Settings) -> None:
    """Much is imported only at first use. Temporal's own threads may not start before the fork."""
    engine, gateway = (
        create_engine(settings.database_url.get_secret_value()),
        build_gateway(settings),
    )
    await PostgresRecords(engine, gateway.name, settings.keyring()).find_payment("nobody")
    await gateway.look_up("nobody", None, datetime.now(UTC))
    await gateway.close()
    await engine.dispose()


async def _work(settings: Settings, boundaries: Boundaries) -> None:
    parts = await build_watched(settings, boundaries)
    try:
        await work(parts, activities_at_once=1)
    finally:
        await parts.close()


if __name__ == "__main__":
    main()
