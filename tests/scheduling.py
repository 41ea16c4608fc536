"""Who runs what, where the suite runs in two processes: most of it waits for servers.

The tests on the running stack stay together in one of them, from the beginning on, since they take
the longest; every other file goes where there is room.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_ON_THE_STACK = ("tests/api/", "tests/doors/", "tests/walk/")


class ByStack(LoadScopeScheduling):
    """A file at a time; the files on the stack are one."""

    def _split_scope(self, nodeid: str) -> str:
        return "stack" if nodeid.startswith(_ON_THE_STACK) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStack:
    return ByStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_ON_THE_STACK))
