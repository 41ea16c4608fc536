"""Which port each part listens on, and whether it is free."""

import asyncio
import itertools
import random
import socket
from dataclasses import dataclass

from app.embedded.errors import StackError

HOST = "127.0.0.1"
# Below what kernels lend to outgoing connections: one of those could take a server's port while the
# server is being started again.
_NOT_EPHEMERAL = range(15_000, 32_768)
_random = random.SystemRandom()


@dataclass(frozen=True)
class Ports:
    """One port for each door of the stack, side by side from a base."""

    api: int
    sandbox: int
    temporal: int
    temporal_ui: int
    postgres: int
    smtp: int
    codec: int

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        return cls(*range(base, base + 7))

    @classmethod
    def free(cls) -> "Ports":
        """Ports nobody listens on at this moment."""
        return cls(*free_ports(7))


def free_port() -> int:
    """A port nobody listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on at this moment."""
    ports = _random.sample(_NOT_EPHEMERAL, len(_NOT_EPHEMERAL))
    return list(itertools.islice(filter(_is_free, ports), count))


async def require_free(doors: dict[int, str], patience: float) -> None:
    """Raise StackError when somebody else listens on a port; `doors` names the part behind each.

    `patience` is how long the children of a killed copy get to let go of their ports.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    for port, part in doors.items():
        while not _is_free(port):
            if loop.time() >= deadline:
                raise StackError(
                    f"port {port}, needed for {part}, is taken by another program; "
                    "PORT_BASE=<number> moves all ports"
                )
            await asyncio.sleep(0.1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers set this as well: connections in TIME_WAIT do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
