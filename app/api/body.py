"""JSON bodies with exact numbers: 49.99 is the decimal 49.99, never a float."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class _ExactRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_exact"):
            self._exact = json.loads(await self.body(), parse_float=Decimal, parse_constant=_refuse)
        return self._exact


def _refuse(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", "", 0)


class ExactRoute(APIRoute):
    """A route whose JSON body keeps numbers as they were written."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exact
