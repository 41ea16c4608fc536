"""How long a request's body may be."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import Kind, ProblemError, answer

MAX_BODY_BYTES = 64 * 1024
# Read and dropped after the answer: a connection that is closed under a body that is being sent
# takes the answer with it.
_MAX_DRAINED_BYTES = 8 * 1024 * 1024


class BodyLimit:
    """Reads a request's body before anything else does, and answers 413 to one that is too long: at
    once where its length is announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _announced(scope) > MAX_BODY_BYTES:
            await _turn_away(scope, receive, send)
            return
        body = bytearray()
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                return  # the client is gone
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                await _turn_away(scope, receive, send)
                return

        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, again, send)


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, read on for a while, and close."""

    async def send_unfinished(message: Message) -> None:
        unfinished = {"more_body": True} if message["type"] == "http.response.body" else {}
        await send({**message, **unfinished})

    response = answer(
        ProblemError(
            Kind.CONTENT_TOO_LARGE,
            f"Send at most {MAX_BODY_BYTES} bytes. Nothing was done.",
        )
    )
    response.headers["Connection"] = "close"
    await response(scope, receive, send_unfinished)
    drained = 0
    message: Message = {"more_body": True}
    while message.get("more_body", False) and drained < _MAX_DRAINED_BYTES:
        message = await receive()
        drained += len(message.get("body", b""))
    await send({"type": "http.response.body", "body": b"", "more_body": False})
