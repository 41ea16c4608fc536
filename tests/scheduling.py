"""Who runs what, where the suite runs in three processes: most of it waits for servers.

The tests on a running stack stay together, from the beginning on, since they take the longest: the
API and its doors on one stack, whole payments on another. Every other file goes where there is
room.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_STACKS = {"tests/api/": "the doors", "tests/doors/": "the doors", "tests/walk/": "the walk"}


def _stack(nodeid: str) -> str | None:
    return next((name for begin, name in _STACKS.items() if nodeid.startswith(begin)), None)


class ByStack(LoadScopeScheduling):
    """A file at a time; the files on one stack are one."""

    def _split_scope(self, nodeid: str) -> str:
        return _stack(nodeid) or nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByStack:
    return ByStack(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _stack(item.nodeid) is None)
