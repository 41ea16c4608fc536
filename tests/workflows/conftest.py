"""One shop for all tests of workflows; a test with a stand-in opens one of its own."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from app.db.engine import create_engine
from app.gateways.stripe import StripeGateway
from tests.conftest import fresh_database
from tests.sandbox.program import Sandbox
from tests.workflows.shop import Shop, open_shop


@pytest.fixture(scope="session")
async def shop_engine(template_url: str) -> AsyncIterator[AsyncEngine]:
    async with fresh_database(template_url) as url:
        engine = create_engine(url)
        yield engine
        await engine.dispose()


@pytest.fixture(scope="session")
async def shop(
    temporal_client: Client,
    shop_engine: AsyncEngine,
    sandbox: Sandbox,
    stripe_gateway: StripeGateway,
) -> AsyncIterator[Shop]:
    async with open_shop(temporal_client, shop_engine, sandbox, stripe_gateway) as opened:
        yield opened


@pytest.fixture(autouse=True)
async def _no_faults_left(sandbox: Sandbox) -> AsyncIterator[None]:
    yield
    await sandbox.http.delete("/control/faults")
