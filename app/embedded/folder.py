"""The data folder: made, checked, and held by one copy at a time."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.embedded.errors import StackError

NEEDED_BYTES = 300 * 1024 * 1024


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the folder; yields whether the copy that held it before was killed.

    Raises StackError when it cannot be written, the disk is full, or another copy holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise StackError(f"cannot write to the folder {folder}: {error.strerror}") from error
    with lock:
        lock.seek(0)
        holder = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"another copy is already running on {folder} (process {holder}); "
                "TILLFLOW_HOME=<folder> with PORT_BASE=<number> runs a second one"
            ) from None
        _require_space(folder)
        _write(lock.fileno(), str(os.getpid()))
        try:
            yield holder != ""
        finally:  # what a killed copy wrote stays
            _write(lock.fileno(), "")


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise StackError(
            f"no space left on the disk of {folder}: {free // 2**20} MB free, "
            f"{NEEDED_BYTES // 2**20} MB needed"
        )


def _write(file: int, text: str) -> None:
    os.truncate(file, 0)
    os.write(file, text.encode())
