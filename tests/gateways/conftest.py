"""Every wired gateway on its sandbox. A new one adds its line to `SUBJECTS`."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from app.embedded.ports import free_port
from app.gateways.stripe import StripeGateway
from tests.gateways.subject import Subject
from tests.sandbox.program import KEY, SECRET, Sandbox

_orders = itertools.count(1)


def _stripe(url: str, timeout_seconds: float = 20) -> StripeGateway:
    return StripeGateway(
        api_key=KEY, api_base=url, webhook_secrets=[SECRET], timeout_seconds=timeout_seconds
    )


def _stripe_subject(sandbox: Sandbox) -> Subject:
    return Subject(
        gateway=_stripe(sandbox.url),
        impatient=_stripe(sandbox.url, timeout_seconds=0.2),
        unreachable=_stripe(f"http://127.0.0.1:{free_port()}"),
        sandbox=sandbox,
        authorize_path="/v1/payment_intents",
        token_path="/v1/payment_methods",
    )


SUBJECTS: dict[str, Callable[[Sandbox], Subject]] = {"stripe": _stripe_subject}


@pytest.fixture(scope="session", params=sorted(SUBJECTS))
async def all_subjects(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[Subject]:
    subject = SUBJECTS[request.param](sandbox)
    async with AsyncExitStack() as closing:
        for gateway in (subject.gateway, subject.impatient, subject.unreachable):
            assert isinstance(gateway, StripeGateway)
            closing.push_async_callback(gateway.close)
        yield subject


@pytest.fixture
async def subject(all_subjects: Subject) -> AsyncIterator[Subject]:
    """A gateway, with no fault left over for the next test."""
    yield all_subjects
    await all_subjects.sandbox.http.delete("/control/faults")


@pytest.fixture(scope="session")
async def gateway() -> AsyncIterator[StripeGateway]:
    """Stripe's adapter where it needs nobody to talk to."""
    gateway = _stripe("http://127.0.0.1:1")
    yield gateway
    await gateway.close()


@pytest.fixture
def order_id() -> str:
    """An order that no other test pays for."""
    return f"contract-{next(_orders)}"
