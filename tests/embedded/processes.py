"""Looking at processes from outside."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

# The kernel's numbers of the states (include/net/tcp_states.h).
_CONNECTED, _LISTENS = "01", "0A"


def children_of(pid: int) -> dict[int, str]:
    """The direct children of a process that still run: process id and command line."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                command = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(status.parent.name)] = command.strip()
    return found


def descendants_of(pid: int) -> set[int]:
    """Every running process below a process."""
    below = set(children_of(pid))
    return below.union(*(descendants_of(child) for child in below))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def called_by(pid: int) -> set[tuple[str, int]]:
    """Whom a process is connected to by TCP since it has called them: address and port. Of what
    forbids dumps, only root sees it."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            sockets.add(str(descriptor.readlink()))
    own, called = set(), set()
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, remote, state, *more = line.split()
            if f"socket:[{more[5]}]" not in sockets:
                continue
            if state == _LISTENS:
                own.add(_port(local))
            elif state == _CONNECTED:
                words = bytes.fromhex(remote.partition(":")[0])
                address = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                called.add((_port(local), socket.inet_ntop(family, address), _port(remote)))
    return {(address, port) for local, address, port in called if local not in own}


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true; TimeoutError when it does not become true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - nobody outside sets an event for us
            await asyncio.sleep(0.05)


def listening_addresses(ports: set[int]) -> set[str]:
    """The addresses on which somebody listens on one of these ports."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        address, port = local.split(":")
        if state == "0A" and int(port, 16) in ports:
            found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]))
    return found
