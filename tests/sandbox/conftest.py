"""Most tests share one sandbox; one that kills or reorders has its own (see tests/conftest.py)."""

import itertools
from pathlib import Path

import pytest

from tests.sandbox.program import Sandbox

_orders = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The judge reads what all the other tests recorded, so it comes last."""
    judge = Path(__file__).parent / "test_traffic.py"
    items.sort(key=lambda item: item.path == judge)


@pytest.fixture
def order() -> str:
    """An order id that no other test uses."""
    return f"order-{next(_orders)}"


@pytest.fixture
async def slow_sandbox(own_sandbox: Sandbox) -> Sandbox:
    """A sandbox in which nothing happens by itself while a test looks."""
    own_sandbox.stop()
    own_sandbox.environment["SANDBOX_SETTLE_SECONDS"] = "86400"
    await own_sandbox.start()
    return own_sandbox
