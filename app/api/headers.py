"""What browsers are told with every answer: to guess, frame, run, keep and pass on nothing.

Which origins may call from a page is told by no header: none may, since an API key is no secret in
a page. Sources: OWASP ASVS 5.0, 3.4; OWASP's cheat sheet on HTTP headers.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What an answer carries that says nothing else."""

STRICT_TRANSPORT = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
"""For a year HTTPS only. The server adds it to whatever is answered, outside the embedded stack."""


class SecurityHeaders:
    """Adds `ALWAYS` to each answer, where it does not say something else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)
