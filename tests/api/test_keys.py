"""Every door and every scope: each pair is decided, and asked for real."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine

from app.api.access import DOORS, KeyedRoute, check_doors
from app.api.main import create_app
from app.db.api_keys import ApiKeys
from app.db.engine import create_engine
from app.domain.api_keys import DEVELOPMENT_API_KEY, Offered, Scope
from tests.api.alone import api
from tests.api.problems import problem
from tests.conftest import FIT
from tests.walk.running import Running, new_order

KEYED = {door: scope for door, scope in DOORS.items() if scope is not None}


@pytest.fixture(scope="module")
async def api_keys(running: Running) -> AsyncIterator[ApiKeys]:
    """Those of the running stack."""
    engine = create_engine(running.stack.postgres.url)
    yield ApiKeys(engine, embedded=True)
    await engine.dispose()


@pytest.fixture(scope="module")
async def stranger(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has no key."""
    async with running.storefront(running.stack.api_url, None) as client:
        yield client


async def ask(client: httpx.AsyncClient, door: str, key: str | None) -> httpx.Response:
    """Knock with that key, about an order that there is not."""
    method, path = door.split()
    return await client.request(
        method,
        path.format(order_id=new_order("nobodys"), refund_id="ref_1"),
        headers={"Authorization": f"Bearer {key}"} if key is not None else {},
    )


async def test_each_scope_opens_its_doors_and_no_other(
    api_keys: ApiKeys, stranger: httpx.AsyncClient
) -> None:
    for scope in Scope:
        key = await api_keys.create(new_order("client"), frozenset({scope}), None)
        for door, needed in KEYED.items():
            answer = await ask(stranger, door, key.text())
            if needed is scope:
                assert answer.status_code in (200, 400, 404), (door, scope, answer.text)
            else:
                told = problem(answer, 403, "forbidden")
                assert told["needed_scope"] == needed
                assert needed in told["detail"]


async def test_without_a_live_key_no_door_opens(
    api_keys: ApiKeys, stranger: httpx.AsyncClient
) -> None:
    everything = frozenset(Scope)
    revoked = await api_keys.create(new_order("client"), everything, None)
    expired = await api_keys.create(new_order("client"), everything, datetime.now(UTC))
    others = await api_keys.create(new_order("client"), everything, None)
    assert (await ask(stranger, "GET /api/payments", revoked.text())).status_code == 200
    await api_keys.revoke(revoked.key_id)
    refused = {
        None: "is needed",
        "wrong": "not an API key",
        Offered.new().text(): "not known",
        Offered(revoked.key_id, Offered.new().secret).text(): "not known",
        Offered(others.key_id, revoked.secret).text(): "not known",
        others.text() + "x": "not an API key",
        revoked.text(): "revoked",
        expired.text(): "expired",
    }
    for door in KEYED:
        for key, why in refused.items():
            answer = await ask(stranger, door, key)
            assert why in problem(answer, 401, "unauthorized")["detail"]
            assert answer.headers["www-authenticate"] == "Bearer"
    assert (await ask(stranger, "GET /api/payments", others.text())).status_code == 200
    basic = {"Authorization": f"Basic {DEVELOPMENT_API_KEY}"}
    problem(await stranger.get("/api/payments", headers=basic), 401, "unauthorized")


async def test_outside_the_embedded_stack_the_development_key_opens_no_door(
    engine: AsyncEngine, service_url: str
) -> None:
    # As if the row had got there: in a copy of a developer's database.
    await ApiKeys(engine, embedded=True).put_development_key()
    async with api(service_url, **FIT) as storefront:
        for door in KEYED:
            answer = await ask(storefront, door, DEVELOPMENT_API_KEY)
            problem(answer, 401, "unauthorized")
    async with api(service_url) as storefront:
        answer = await ask(storefront, "GET /api/payments", DEVELOPMENT_API_KEY)
        assert answer.status_code == 200


async def test_the_other_doors_are_open_to_everyone(stranger: httpx.AsyncClient) -> None:
    for door in DOORS.keys() - KEYED.keys():
        answer = await ask(stranger, door, None)
        assert answer.status_code not in (401, 403), door


async def test_with_the_database_away_nobody_comes_in_and_nobody_is_turned_away(
    running: Running, stranger: httpx.AsyncClient
) -> None:
    async with running.without("postgres"):
        for door in KEYED:
            for key in (DEVELOPMENT_API_KEY, Offered.new().text()):
                answer = await ask(stranger, door, key)
                problem(answer, 503, "service-unavailable")
                assert answer.headers["retry-after"]


async def test_what_a_stranger_says_is_not_even_looked_at(stranger: httpx.AsyncClient) -> None:
    json = {"Content-Type": "application/json"}
    answer = await stranger.post("/api/payment/initiate", content=b"{", headers=json)
    problem(answer, 401, "unauthorized")


async def nothing() -> None:
    """What a new route might do."""


def test_a_keyed_route_without_a_scope_cannot_be_written() -> None:
    router = APIRouter(prefix="/api", route_class=KeyedRoute)
    for path, method in (("/new", "GET"), ("/payment/callback", "POST")):
        with pytest.raises(ValueError, match=f"{method} /api{path} has no scope in DOORS"):
            router.add_api_route(path, nothing, methods=[method])


def test_an_api_with_a_door_that_nobody_decided_about_does_not_start() -> None:
    app = create_app()
    check_doors(app)
    app.add_api_route("/api/new", nothing)
    with pytest.raises(ValueError, match="GET /api/new does not stand in DOORS"):
        check_doors(app)


def test_a_route_that_asks_for_no_key_cannot_stand_where_one_is_needed() -> None:
    app = create_app()
    app.add_api_route("/api/payments", nothing)
    with pytest.raises(ValueError, match="GET /api/payments needs a scope, and is no KeyedRoute"):
        check_doors(app)


def test_a_door_without_a_route_is_no_door() -> None:
    with pytest.raises(ValueError, match="DOORS without a route: GET /api/callbacks/foreign"):
        check_doors(FastAPI(openapi_url=None, routes=[APIRoute("/healthz", nothing)]))


async def test_the_description_says_which_scope_opens_what(running: Running) -> None:
    told = await running.description()
    assert told["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    described = {
        f"{method.upper()} {path}": operation.get("security")
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {
        door: [{"ApiKey": [scope]}] if scope is not None else None
        for door, scope in DOORS.items()
        if door in described
    }
    assert KEYED.keys() <= described.keys()
