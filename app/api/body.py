"""Request bodies: of bounded length, and JSON with exact numbers (49.99 is never a float)."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.access import KeyedRoute
from app.api.problems import FieldError, Kind, ProblemError, answer

MAX_BODY_BYTES = 1024 * 1024
# Read and dropped, so that the client gets to read our answer.
_MAX_DRAINED_BYTES = 32 * 1024 * 1024


class _ExactRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_exact"):
            self._exact = _exact(await self.body())
        return self._exact


def _exact(body: bytes) -> Any:
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        # Not text, a number beyond all bounds, or nested beyond them.
        raise json.JSONDecodeError("not JSON", "", 0) from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ExactRoute(KeyedRoute):
    """A keyed route whose JSON body keeps numbers as they were written."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def exact(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return exact


class BoundedBody:
    """Reads a request's body before anything else does, and answers 400 to one that is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, length = bytearray(), 0
        message: Message = {"more_body": True}
        while message.get("more_body", False) and length <= _MAX_DRAINED_BYTES:
            message = await receive()
            if message["type"] != "http.request":
                return  # the client is gone
            length += len(message.get("body", b""))
            if length <= MAX_BODY_BYTES:
                body += message.get("body", b"")
        if length > MAX_BODY_BYTES:
            await _TOO_LONG(scope, receive, send)
            return

        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


_TOO_LONG = answer(
    ProblemError(
        Kind.INVALID_REQUEST,
        "Send a shorter body. Nothing was done.",
        [FieldError(location="body", message=f"the body is longer than {MAX_BODY_BYTES} bytes")],
    )
)
