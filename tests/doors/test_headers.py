"""What browsers are told with every answer, and what nobody is told."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.api.headers import ALWAYS, STRICT_TRANSPORT
from tests.conftest import environment_of
from tests.doors.served import served
from tests.doors.wire import Wire

EACH = {
    "ok": (("GET", "/healthz"), 200),
    "refused": (("POST", "/api/payment/initiate"), 401),
    "not found": (("GET", "/nowhere"), 404),
    "another method": (("PUT", "/healthz"), 405),
    "a wrong callback": (("POST", "/api/payment/callback"), 400),
    "a file": (("GET", "/static-offline-docs/swagger-ui.css"), 200),
    "no temporal": (("GET", "/readyz"), 503),
}


@pytest.fixture
async def url(database_url: str) -> AsyncIterator[str]:
    async with served(database_url) as url:
        yield url


async def test_every_answer_tells_browsers_to_do_nothing_with_it(url: str) -> None:
    async with Wire(url) as wire:
        for name, ((method, path), status) in EACH.items():
            answer = await wire.ask(method, path)
            assert answer.status == status, name
            for header, value in ALWAYS.items():
                assert answer.header(header) == value, (name, header)


async def test_no_answer_names_the_server(url: str) -> None:
    asked = [(how, path, None) for (how, path), _ in EACH.values()]
    async with Wire(url) as wire:
        answers = [await wire.ask(how, path) for how, path, _ in asked]
        answers.append(await wire.send(b"no HTTP at all\r\n\r\n"))
    for answer in answers:
        said = b"\n".join(b": ".join(pair) for pair in answer.headers) + answer.body[:5000]
        assert answer.header("server") is None
        assert not re.search(rb"uvicorn|starlette|fastapi|python|h11", said, re.IGNORECASE), said


async def test_what_is_no_http_gets_a_problem_and_no_connection(url: str) -> None:
    async with Wire(url) as wire:
        answer = await wire.send(b"no HTTP at all\r\n\r\n")
        assert answer.status == 400
        assert answer.header("content-type") == "application/problem+json"
        assert answer.header("connection") == "close"


@pytest.mark.parametrize("path", ["/healthz", "/api/payment/initiate", "/api/payment/callback"])
async def test_no_page_of_another_origin_may_call(url: str, path: str) -> None:
    origin = (b"Origin", b"https://shop.example.com")
    asks = (b"Access-Control-Request-Method", b"POST")
    async with Wire(url) as wire:
        for answer in (
            await wire.ask("OPTIONS", path, [origin, asks]),
            await wire.ask("GET", path, [origin]),
            await wire.ask("POST", path, [origin]),
        ):
            assert not [name for name, _ in answer.headers if name.lower().startswith(b"access-")]


async def test_the_documentation_runs_its_own_scripts_only(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as browser:
        page = await browser.get("/docs")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy.partition("style-src")[0]
        for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert source.startswith("/static-offline-docs/")
            assert (await browser.get(source)).status_code == 200


async def test_https_is_demanded_where_it_is_production(
    database_url: str, service_url: str
) -> None:
    async with served(database_url) as embedded, Wire(embedded) as wire:
        assert (await wire.ask("GET", "/healthz")).header(STRICT_TRANSPORT[0]) is None
    fit = environment_of(database_url=service_url)
    known: dict[str, Any] = {name.lower(): value for name, value in fit.items()}
    async with served(**known, embedded=False) as url, Wire(url) as wire:
        for request in (b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n", b"nonsense\r\n\r\n"):
            answer = await wire.send(request)
            assert answer.header(STRICT_TRANSPORT[0]) == STRICT_TRANSPORT[1]
            wire.close()
