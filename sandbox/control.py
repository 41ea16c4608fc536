"""The tests' own door, apart from /v1: faults, deliveries, the clock, the ledger.

It needs no key, so it answers callers on the loopback interface and nobody else.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox import ledger
from sandbox.clock import Clock
from sandbox.deliveries import Deliveries, Mode
from sandbox.faults import Fault, Faults
from sandbox.store import Json, Store
from sandbox.timers import Timers

CLOCK_OFFSET = "clock_offset"
_Model = TypeVar("_Model", bound=BaseModel)


class Advance(BaseModel):
    """How far to move the sandbox's clock, in seconds; never back."""

    model_config = ConfigDict(extra="forbid")

    advance_seconds: float = Field(ge=0)


class Control:
    def __init__(
        self, store: Store, clock: Clock, faults: Faults, deliveries: Deliveries, timers: Timers
    ) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults
        self._deliveries = deliveries
        self._timers = timers

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/control/faults", _local(self._add_fault), methods=["POST"]),
            Route("/control/faults", _local(self._list_faults), methods=["GET"]),
            Route("/control/faults", _local(self._clear_faults), methods=["DELETE"]),
            Route("/control/deliveries", _local(self._set_mode), methods=["POST"]),
            Route("/control/deliveries", _local(self._read_deliveries), methods=["GET"]),
            Route("/control/clock", _local(self._advance), methods=["POST"]),
            Route("/control/ledger", _local(self._ledger), methods=["GET"]),
        ]

    async def _add_fault(self, request: Request) -> Json:
        self._faults.waiting.append(await _read(request, Fault))
        return await self._list_faults(request)

    async def _list_faults(self, request: Request) -> Json:
        return {"faults": [fault.model_dump() for fault in self._faults.waiting]}

    async def _clear_faults(self, request: Request) -> Json:
        self._faults.waiting.clear()
        return await self._list_faults(request)

    async def _set_mode(self, request: Request) -> Json:
        self._deliveries.set_mode(await _read(request, Mode))
        return await self._read_deliveries(request)

    async def _read_deliveries(self, request: Request) -> Json:
        return {**self._deliveries.mode.model_dump(), **self._deliveries.counts()}

    async def _advance(self, request: Request) -> Json:
        self._clock.offset += (await _read(request, Advance)).advance_seconds
        self._store.set_meta(CLOCK_OFFSET, repr(self._clock.offset))
        self._timers.run_due()
        self._timers.wake()
        self._deliveries.wake()
        return {"now": int(self._clock.now()), "offset_seconds": self._clock.offset}

    async def _ledger(self, request: Request) -> Json:
        return ledger.read(self._store, request.query_params.get("order_id"))


class _UnreadableError(Exception):
    pass


async def _read(request: Request, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(json.loads(await request.body() or b"{}"))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise _UnreadableError("; ".join(problems)) from None
    except ValueError:
        raise _UnreadableError("The body is not JSON.") from None


def _local(
    handler: Callable[[Request], Awaitable[Json]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        host = "" if request.client is None else request.client.host
        if not ipaddress.ip_address(host).is_loopback:
            return JSONResponse({"error": "Only from this machine."}, status_code=403)
        try:
            return JSONResponse(await handler(request))
        except _UnreadableError as error:
            return JSONResponse({"error": str(error)}, status_code=422)

    return endpoint
