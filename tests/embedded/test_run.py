"""The whole of `tillflow run`, started and stopped as a user would."""

import os
import signal
from pathlib import Path

from tests.embedded.command import free_base, tillflow_run
from tests.embedded.processes import alive, descendants_of, until

FULFILLED = "The sample order is paid and fulfilled."


async def test_it_runs_until_told_to_stop_and_leaves_no_process(tmp_path: Path) -> None:
    async with tillflow_run(tmp_path, free_base()) as run:
        await run.prints("Ctrl-C stops everything.")
        started = descendants_of(run.pid)
        os.kill(run.pid, signal.SIGTERM)
        assert await run.exit_code() == 0
    assert len(started) > 6
    assert not [pid for pid in started if alive(pid)]
    assert FULFILLED in run.output
    for event in ("authorized", "captured", "fulfilled"):
        assert event in run.output
    assert run.errors == ""


async def test_killed_with_9_it_takes_its_children_along_and_starts_again(tmp_path: Path) -> None:
    base = free_base()
    async with tillflow_run(tmp_path, base) as run:
        await run.prints("Ctrl-C stops everything.")
        started = descendants_of(run.pid)
        os.kill(run.pid, signal.SIGKILL)
        await run.exit_code()

        async with tillflow_run(tmp_path, base, "--once") as again:
            assert await again.exit_code() == 0, again.output + again.errors
    assert FULFILLED in again.output
    await until(lambda: not [pid for pid in started if alive(pid)])


async def test_two_copies_side_by_side(tmp_path: Path) -> None:
    async with (
        tillflow_run(tmp_path / "one", free_base(), "--once") as one,
        tillflow_run(tmp_path / "two", free_base(), "--once") as two,
    ):
        assert await one.exit_code() == 0, one.output + one.errors
        assert await two.exit_code() == 0, two.output + two.errors
