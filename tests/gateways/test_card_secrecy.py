"""A card's number and code are in no error, no log line and no output, whatever goes wrong."""

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from app.domain.gateway import AuthorizeRequest, Card, Gateway, GatewayError
from app.domain.methods import Method
from app.domain.money import Money
from app.gateways.stripe import StripeGateway
from tests.gateways.events import DECLINED, DISPUTE, REFUND, Json, read
from tests.gateways.subject import Subject
from tests.sandbox.program import KEY, REPO, SECRET, Sandbox

NUMBER, CODE = "378282246310005", "8642"
MISSPELT = "378282246310006"
_SECRET = re.compile(rf"{NUMBER[:-1]}|(?<![0-9A-Za-z_]){CODE}(?![0-9A-Za-z_])")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def _fails(gateway: Gateway, number: str = NUMBER) -> None:
    with pytest.raises(GatewayError) as failure:
        await gateway.create_token(Card(number, 12, 2040, CODE))
    for error in _chain(failure.value):
        assert not _SECRET.search(f"{error} {error!r} {error.args}")


@pytest.fixture
def every_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All loggers at their most talkative; nothing of the card may be in what they say."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert not _SECRET.search(caplog.text)


def test_a_card_does_not_show_itself() -> None:
    assert not _SECRET.search(repr(Card(NUMBER, 12, 2040, CODE)))
    assert "2040" not in repr(Card(NUMBER, 12, 2040, CODE))


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop", "mode": "before"},
        {"action": "drop", "mode": "after"},
        {"status": 500},
        {"status": 429},
        {"status": 400},
        {"status": 401},
        {"status": 402},
    ],
    ids=str,
)
async def test_when_the_gateway_fails(
    subject: Subject, every_log: pytest.LogCaptureFixture, fault: dict[str, object]
) -> None:
    await subject.fault(subject.token_path, **fault)
    await _fails(subject.gateway)


async def test_when_the_gateway_is_slow_or_away(
    subject: Subject, every_log: pytest.LogCaptureFixture
) -> None:
    await subject.fault(subject.token_path, action="hang", seconds=0.4)
    await _fails(subject.impatient)
    await _fails(subject.unreachable)


async def test_when_the_card_is_wrong_or_declined(
    subject: Subject, every_log: pytest.LogCaptureFixture, order_id: str
) -> None:
    await _fails(subject.gateway, MISSPELT)
    token = await subject.gateway.create_token(Card(NUMBER, 12, 2040, CODE))
    request = AuthorizeRequest(order_id, Money(1000, "usd"), Method.CREDIT_CARD, token.id)
    seen = await subject.gateway.authorize(request, key=order_id)
    assert not _SECRET.search(f"{token!r} {seen!r}")


@asynccontextmanager
async def _stripe_that_says(status: int, told: Json) -> AsyncIterator[StripeGateway]:
    """An adapter whose Stripe answers with that, whatever it is asked."""
    body = json.dumps(told).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nConnection: close\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", asked, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        gateway = StripeGateway(
            api_key=KEY,
            api_base=f"http://{host}:{port}",
            webhook_secrets=[SECRET],
            timeout_seconds=20,
        )
        yield gateway
        await gateway.close()


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 429, 500])
async def test_when_the_gateway_says_the_number_itself(
    every_log: pytest.LogCaptureFixture, status: int
) -> None:
    quoted = dict.fromkeys(("code", "message", "param", "type"), f"no {NUMBER} here")
    async with _stripe_that_says(status, {"error": quoted}) as gateway:
        await _fails(gateway)


SAYS = f"Your card 3782-822463-10005, that is {NUMBER}, was declined."


async def test_when_a_decline_quotes_the_number(order_id: str) -> None:
    quoted = {"type": "card_error", "decline_code": f"lost_{NUMBER}", "message": SAYS}
    declined = DECLINED | {"last_payment_error": DECLINED["last_payment_error"] | quoted}
    refused = {"error": {"message": SAYS, "payment_intent": declined}}
    request = AuthorizeRequest(order_id, Money(4999, "usd"), Method.CREDIT_CARD, "pm_1")
    async with _stripe_that_says(402, refused) as gateway:
        seen = await gateway.authorize(request, key=order_id)
    assert seen.decline is not None
    assert seen.decline.message == ("Your card [card number], that is [card number], was declined.")
    assert NUMBER not in repr(seen)


def test_when_a_callback_quotes_the_number(gateway: StripeGateway) -> None:
    quoted = {"type": "card_error", "code": NUMBER, "message": SAYS}
    for kind, told in (
        ("payment_intent.payment_failed", DECLINED | {"last_payment_error": quoted}),
        ("refund.failed", REFUND | {"status": "failed", "failure_reason": SAYS}),
        ("charge.dispute.created", DISPUTE | {"reason": SAYS}),
    ):
        seen = repr(read(gateway, kind, told))
        assert "[card number]" in seen
        assert NUMBER not in seen
        assert "3782-822463-10005" not in seen


def test_when_an_operator_asks_the_sdk_to_tell_all(sandbox: Sandbox) -> None:
    program = f"""
import asyncio, logging
logging.basicConfig(level=logging.DEBUG)
from app.domain.gateway import Card
from app.gateways.stripe import StripeGateway
gateway = StripeGateway(
    api_key={KEY!r}, api_base={sandbox.url!r}, webhook_secrets=[{SECRET!r}], timeout_seconds=20
)
print(asyncio.run(gateway.create_token(Card({NUMBER!r}, 12, 2040, {CODE!r}))))
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPO,
        env={"STRIPE_LOG": "debug"},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "Token(id='pm_" in told.stdout
    assert not _SECRET.search(told.stdout + told.stderr)
