"""One sandbox shared by most tests, and one of its own for a test that kills or reorders."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.sandbox.program import Receiver, Sandbox

# The SDK hands httpx its form in a way that httpx discourages.
_SDK_WARNING = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
_orders = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The judge reads what all the other tests recorded, so it comes last."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path == here / "test_traffic.py")
    for item in items:
        if item.path.parent == here:
            item.add_marker(_SDK_WARNING)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every sandbox of this run writes its exchanges."""
    return tmp_path_factory.mktemp("sandbox") / "exchanges.jsonl"


@pytest_asyncio.fixture(scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory, record: Path) -> AsyncIterator[Sandbox]:
    """A running sandbox shared by the whole run: its clock and deliveries are left alone."""
    program = Sandbox(tmp_path_factory.mktemp("shared"), record)
    await program.start()
    yield program
    await program.close()


@pytest_asyncio.fixture
async def own_sandbox(tmp_path: Path, record: Path, receiver: Receiver) -> AsyncIterator[Sandbox]:
    """A running sandbox for one test, sending its events to `receiver`."""
    program = Sandbox(tmp_path, record, webhook_url=receiver.url)
    await program.start()
    yield program
    await program.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    endpoint = Receiver()
    yield endpoint
    endpoint.close()


@pytest.fixture
def order() -> str:
    """An order id that no other test uses."""
    return f"order-{next(_orders)}"
