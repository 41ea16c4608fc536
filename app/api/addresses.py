"""Addresses: whatever a request passes on its way writes them into its log."""

import re
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import FieldError, Kind, ProblemError, answer
from app.domain.card_numbers import holds_card_number

# A moment has as many digits as a card number, and at night they begin like one's.
_MOMENT = re.compile(
    r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+ -]\d\d(:?\d\d)?)?\b", re.ASCII
)


_LONGEST = 4096  # bytes; every byte is looked at before anybody has shown a key


class NoCardsInAddresses:
    """Answers 400 to an address that holds a card number, and to one that is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query = scope["query_string"]
            if len(scope["raw_path"]) + len(query) > _LONGEST:
                await _TOO_LONG(scope, receive, send)
                return
            address = f"{scope['path']} {unquote_plus(query.decode('latin-1'))}"
            if holds_card_number(_MOMENT.sub("x", address)):
                await _REFUSAL(scope, receive, send)
                return
        await self._app(scope, receive, send)


_REFUSAL = answer(
    ProblemError(
        Kind.INVALID_REQUEST,
        "Send a card's number in `credit_card` only: addresses are written into logs on their way. "
        "Nothing was done.",
        [FieldError(location="address", message="this looks like a card number")],
    )
)
_TOO_LONG = answer(
    ProblemError(
        Kind.INVALID_REQUEST,
        f"An address may have {_LONGEST} bytes. Nothing was done.",
        [FieldError(location="address", message="this is too long")],
    )
)
