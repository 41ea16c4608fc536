"""The harness's storefront: it repeats itself word for word, and keeps what it was promised."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.domain.money import Money
from app.embedded.ports import HOST, free_port
from chaos.evidence import Acknowledged, Acknowledgements, Kind
from chaos.plan import PlannedOrder, Story, Voice
from chaos.storefront import Storefront
from tests.sandbox.program import until

ORDER = PlannedOrder("order-1", Story.PAID, Voice.PLAIN, Money(4999, "usd"))
PAID = {"status": "captured"}


class Answering:
    """An API that answers as it is told, one answer after the other."""

    def __init__(self, *answers: Response) -> None:
        self.asked: list[tuple[str | None, Any]] = []
        self._answers = list(answers)

    async def answer(self, request: Request) -> Response:
        body = await request.json() if request.method == "POST" else None
        self.asked.append((request.headers.get("idempotency-key"), body))
        return self._answers.pop(0)


@asynccontextmanager
async def _shop(api: Answering, folder: Path) -> AsyncIterator[tuple[Storefront, Acknowledgements]]:
    app = Starlette(routes=[Route("/{path:path}", api.answer, methods=["GET", "POST"])])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, HOST, port, log_config=None, ws="none"))
    kept = Acknowledgements(folder / "acknowledged.jsonl")
    storefront = Storefront(f"http://{HOST}:{port}", kept)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        async with asyncio.timeout(20):
            yield storefront, kept
    finally:
        await storefront.close()
        server.should_exit = True
        await serving


def _later() -> Response:
    return JSONResponse({"type": "/problems/unavailable"}, 503, {"Retry-After": "0"})


async def test_it_sends_the_same_again_until_it_is_answered(tmp_path: Path) -> None:
    api = Answering(_later(), _later(), JSONResponse(PAID, 202))
    async with _shop(api, tmp_path) as (shop, kept):
        answer = await shop.ask(Kind.INITIATE, ORDER, "/initiate", {"amount": "49.99"}, 4999, "key")

        assert answer.status_code == 202
        assert api.asked == [("key", {"amount": "49.99"})] * 3
        assert kept.read() == [Acknowledged("order-1", Kind.INITIATE, 4999, "usd", 202, PAID)]
        assert shop.answers == {503: 2, 202: 1}
        assert shop.surprises == []


async def test_it_asks_again_when_nobody_answers(tmp_path: Path) -> None:
    nowhere = Storefront(f"http://{HOST}:{free_port()}", Acknowledgements(tmp_path / "none"))
    asking = asyncio.create_task(nowhere.read("order-1"))
    await until(lambda: nowhere.answers[0] >= 2)
    assert not asking.done()
    asking.cancel()
    await nowhere.close()


async def test_a_refusal_is_an_answer_and_no_promise(tmp_path: Path) -> None:
    api = Answering(JSONResponse({"type": "/problems/order-closed"}, 409))
    async with _shop(api, tmp_path) as (shop, kept):
        answer = await shop.ask(Kind.CAPTURE, ORDER, "/capture", {}, 4999, "key")
        assert (answer.status_code, kept.read()) == (409, [])


async def test_an_error_that_promises_nothing_is_noted(tmp_path: Path) -> None:
    api = Answering(JSONResponse({}, 500), JSONResponse(PAID))
    async with _shop(api, tmp_path) as (shop, _):
        assert await shop.read("order-1") == PAID
        assert len(shop.surprises) == 1
        assert "GET /api/payment/order-1 was answered 500" in shop.surprises[0]


async def test_an_order_that_is_not_there_is_noted(tmp_path: Path) -> None:
    api = Answering(JSONResponse({}, 404))
    async with _shop(api, tmp_path) as (shop, _):
        assert (await shop.read("order-1"))["order_status"] == "gone"
        assert shop.surprises == ["order-1: reading it was answered 404"]
