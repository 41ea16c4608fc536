"""An API with one sound door, and others that each have a defect of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.api import problems
from app.api.problems import Kind, ProblemError, answer, documented
from app.embedded.ports import HOST, free_port

BEHIND_A_KEY = {
    "security": [{"ApiKey": list[str]()}],
}


class Sound(BaseModel):
    """What every door is said to answer with."""

    count: int


def small_api(*, planted: bool) -> FastAPI:
    """The whole of it; without what is `planted`, the sound door alone."""
    app = FastAPI(openapi_url="/openapi.json", docs_url=None, redoc_url=None)
    problems.install(app)
    refusals = documented(Kind.INVALID_REQUEST)

    @app.get("/sound", responses=refusals)
    async def sound(count: Annotated[int, Query(ge=0)] = 0) -> Sound:
        return Sound(count=count)

    if planted:
        _plant(app)
    app.openapi_schema = problems.with_problems(app.openapi())
    app.openapi_schema["components"]["securitySchemes"] = {
        "ApiKey": {"type": "http", "scheme": "bearer"}
    }
    return app


def _plant(app: FastAPI) -> None:
    @app.get("/broken", responses=documented(Kind.UNAVAILABLE))
    async def broken() -> Response:
        return answer(ProblemError(Kind.INTERNAL, "It is in our log."))

    @app.get("/another-status")
    async def another_status() -> Response:
        return JSONResponse({"count": 1}, 203)

    @app.get("/another-shape", response_model=Sound)
    async def another_shape() -> Response:
        return JSONResponse({"count": "many"})

    @app.get("/another-problem", responses=documented(Kind.INVALID_REQUEST))
    async def another_problem() -> Response:
        return answer(ProblemError(Kind.DECLINED, "Not this card."))

    @app.get(
        "/takes-anything",
        responses=documented(Kind.INVALID_REQUEST),
        openapi_extra={
            "parameters": [
                {"name": "n", "in": "query", "required": True, "schema": {"type": "integer"}}
            ]
        },
    )
    async def takes_anything() -> Sound:
        return Sound(count=1)

    @app.get(
        "/refuses-what-it-allows",
        responses=documented(Kind.INVALID_REQUEST),
    )
    async def refuses_what_it_allows() -> Response:
        return answer(ProblemError(Kind.INVALID_REQUEST, "Not today."))

    @app.get("/without-a-lock", responses=documented(Kind.UNAUTHORIZED), openapi_extra=BEHIND_A_KEY)
    async def without_a_lock() -> Sound:
        return Sound(count=1)


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """`app` on a port of its own; its address."""
    port = free_port()
    config = uvicorn.Config(app, host=HOST, port=port, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:  # noqa: ASYNC110 - uvicorn sets no event
                await asyncio.sleep(0.02)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        await serving
