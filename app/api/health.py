"""Health, for load balancers and operators."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict

from app.api.access import WithParts
from app.api.checkout import worker_is_polling
from app.api.problems import documented
from app.wiring import Parts

router = APIRouter(tags=["health"])
_PATIENCE_SECONDS = 3
# A worker's long poll lasts a minute; after that one that has not come back is gone.
_POLL = timedelta(seconds=70)


_READY: dict[str, Any] = {
    "status": "ready",
    "parts": {"database": "ok", "temporal": "ok", "worker": "ok"},
}


class Health(BaseModel):
    """This process answers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """`parts` says of each part: ok, or what is missing."""

    model_config = ConfigDict(json_schema_extra={"examples": [_READY]})

    status: Literal["ready", "not ready"]
    parts: dict[str, str]


_NOT_READY: dict[str, Any] = {
    "model": Readiness,
    "description": "A part is missing: no payment can be taken",
    "content": {
        "application/json": {
            "example": {
                "status": "not ready",
                "parts": {"database": "ok", "temporal": "ok", "worker": "missing"},
            }
        }
    },
}
_METRICS: dict[str, Any] = {
    "content": {"text/plain": {"example": 'tillflow_callbacks_total{outcome="stored"} 3.0\n'}},
}


@router.get("/healthz", responses=documented())
async def healthz() -> Health:
    """Whether this process answers."""
    return Health()


@router.get("/readyz", responses={503: _NOT_READY, **documented()})
async def readyz(parts: WithParts, response: Response) -> Readiness:
    """Whether a payment could be taken now, and if not, which part is missing."""
    checks: dict[str, Awaitable[bool]] = {
        "database": _database(parts),
        "temporal": parts.temporal.service_client.check_health(),
        "worker": worker_is_polling(parts, _POLL),
    }
    found = await asyncio.gather(*(_check(check) for check in checks.values()))
    told = dict(zip(checks, found, strict=True))
    if any(state != "ok" for state in told.values()):
        response.status_code = 503
        return Readiness(status="not ready", parts=told)
    return Readiness(status="ready", parts=told)


@router.get("/metrics", response_class=PlainTextResponse, responses={200: _METRICS, **documented()})
async def metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(parts: Parts) -> bool:
    await parts.records.find_order("-")
    return True


async def _check(check: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return "ok" if await check else "missing"
    except Exception as error:
        return f"missing: {type(error).__name__}"
