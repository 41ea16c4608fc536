"""What operators and integrators see: health, readiness, metrics, the API's own description."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.embedded.ports import free_port
from app.embedded.services import ApiPart
from tests.walk.running import Json, Running


class LonelyApi(ApiPart):
    """A second API on the same stack, which waits for workers that nobody runs."""

    name = "lonely api"


@pytest.fixture
async def lonely(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **running.stack.api.environment(),
        "API_PORT": str(port),
        "TASK_QUEUE": "nobody",
    }
    await running.stack.supervisor.start(LonelyApi(url, port, environment))
    async with running.storefront(url) as client:
        yield client
    await running.kill("lonely api")


async def test_everything_is_there(running: Running) -> None:
    health = await running.shop.get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    ready = await running.shop.get("/readyz")
    assert ready.status_code == 200, ready.text
    assert ready.json()["status"] == "ready"
    assert set(ready.json()["parts"].values()) == {"ok"}


@pytest.mark.parametrize(("killed", "named"), [("postgres", "database"), ("temporal", "temporal")])
async def test_a_missing_part_is_named(running: Running, killed: str, named: str) -> None:
    async with running.without(killed):
        ready = await running.shop.get("/readyz")
        health = await running.shop.get("/healthz")
    assert health.status_code == 200
    assert ready.status_code == 503
    assert ready.json()["status"] == "not ready"
    assert ready.json()["parts"][named] != "ok"
    await running.until_ready()


async def test_a_missing_worker_is_named(lonely: httpx.AsyncClient) -> None:
    ready = await lonely.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["parts"] == {"database": "ok", "temporal": "ok", "worker": "missing"}


async def test_the_description_names_every_status_with_an_example(running: Running) -> None:
    told = await running.description()
    documented = {
        f"{method} {path}": set(operation["responses"])
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    }
    assert documented == {
        "post /api/payment/initiate": {
            *("200", "202", "400", "401", "403", "409", "413", "415", "429", "500", "503")
        },
        "post /api/payment/callback": {"200", "400", "413", "500", "503"},
        "get /api/payment/{order_id}": {"200", "400", "401", "403", "404", "500", "503"},
        "post /api/payment/{order_id}/capture": {
            *("200", "202", "400", "401", "403", "404", "409", "413", "415", "500", "503")
        },
        "post /api/payment/{order_id}/cancel": {
            *("200", "202", "400", "401", "403", "404", "409", "413", "415", "500", "503")
        },
        "post /api/payment/{order_id}/refunds": {
            *("200", "201", "202", "400", "401", "403", "404", "409", "413", "415", "500", "503")
        },
        "get /api/payment/{order_id}/refunds": {"200", "400", "401", "403", "404", "500", "503"},
        "get /api/payment/{order_id}/refunds/{refund_id}": {
            *("200", "400", "401", "403", "404", "500", "503")
        },
        "post /api/payment/{order_id}/resolve": {
            *("200", "400", "401", "403", "404", "409", "413", "415", "500", "503")
        },
        "post /api/payment/{order_id}/acknowledge": {
            *("200", "400", "401", "403", "404", "413", "415", "500", "503")
        },
        "get /api/payments": {"200", "400", "401", "403", "500", "503"},
        "get /api/payment-methods": {"200", "400", "401", "403", "500", "503"},
        "get /api/callbacks/foreign": {"200", "400", "401", "403", "500", "503"},
        "get /api/callbacks/waiting": {"200", "400", "401", "403", "500", "503"},
        "get /api/reconciliations": {"200", "400", "401", "403", "500", "503"},
        "get /healthz": {"200", "400", "500"},
        "get /readyz": {"200", "400", "500", "503"},
        "get /metrics": {"200", "400", "500"},
    }
    for path, operations in told["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                for content in response["content"].values():
                    assert has_example(content, told), (path, status)
                # The 503 of /readyz is its answer, not a problem.
                if status >= "4" and (path, status) != ("/readyz", "503"):
                    [(media_type, content)] = response["content"].items()
                    assert media_type == "application/problem+json"
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    for name, example in content["examples"].items():
                        assert example["value"]["type"] == f"/problems/{name}"
                        assert example["value"]["status"] == int(status)
                        assert len(example["value"]["detail"]) > 10


def has_example(content: Json, told: Json) -> bool:
    """Whether an answer comes with an example, its own or its schema's."""
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return any(at.get(name) for at in (content, schema) for name in ("example", "examples"))


async def test_the_description_is_of_the_card_as_it_is_taken(running: Running) -> None:
    schemas = (await running.description())["components"]["schemas"]
    assert "HTTPValidationError" not in schemas
    assert schemas["InitiateRequest"]["additionalProperties"] is False
    assert schemas["CreditCard"]["properties"]["number"]["examples"] == ["4111 1111 1111 1111"]


async def test_the_documentation_page_loads_from_this_server_alone(running: Running) -> None:
    page = await running.shop.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert "://" not in page.text.replace("http://www.w3.org", "")
