"""Errors as RFC 9457 problem JSON: what is wrong, where, and what to do. The only translation from
errors to HTTP."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app.api.headers import ALWAYS
from app.domain.gateway import (
    InvalidCallbackError,
    OutcomeUnknownError,
    RefusedError,
    UnavailableError,
)
from app.domain.money import InvalidAmountError
from app.domain.records import RecordsUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_LIMITED_SECONDS = 60  # the same whatever the limit, and however long it will last
_MOST_ERRORS = 20
# A field's name comes from the request too. Nothing of a card fits into one that looks like this.
_SHOWABLE_NAME = re.compile(r"[A-Za-z][A-Za-z_-]{0,39}[0-9]{0,2}", re.ASCII)
_log = structlog.get_logger()


class Kind(Enum):
    """Every kind of problem: its name in `type`, its status, its title."""

    INVALID_REQUEST = ("invalid-request", 400, "The request is not valid")
    DECLINED = ("payment-declined", 400, "The payment was declined")
    REFUSED = ("payment-method-refused", 400, "The gateway cannot use this payment method")
    METHOD_NOT_OFFERED = ("payment-method-not-offered", 400, "This way to pay is not offered")
    RAW_CARDS_OFF = ("raw-cards-not-accepted", 400, "Send a payment method token, not a card")
    INVALID_CALLBACK = ("invalid-callback", 400, "The callback is not valid")
    UNAUTHORIZED = ("unauthorized", 401, "An API key is needed")
    FORBIDDEN = ("forbidden", 403, "The API key is for something else")
    NOT_FOUND = ("not-found", 404, "There is nothing here")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This address takes another method")
    TIMEOUT = ("request-timeout", 408, "The request took too long to arrive")
    ORDER_MISMATCH = ("order-mismatch", 409, "The order exists with another amount or customer")
    ORDER_CLOSED = ("order-closed", 409, "The order is over")
    CARD_NOT_ACCEPTED = ("card-not-accepted", 409, "The card was declined for good")
    TOO_MANY_ATTEMPTS = ("too-many-attempts", 409, "The order was tried too often")
    KEY_REUSED = ("idempotency-key-reused", 409, "The Idempotency-Key belongs to another request")
    NOT_CAPTURABLE = ("not-capturable", 409, "There is nothing to capture")
    NOT_CANCELABLE = ("not-cancelable", 409, "The order cannot be canceled")
    NOT_REFUNDABLE = ("not-refundable", 409, "There is not so much to refund")
    NOTHING_UNKNOWN = ("nothing-unknown", 409, "There is nothing to decide")
    CONTENT_TOO_LARGE = ("content-too-large", 413, "The body is too long")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported-media-type", 415, "The body is not sent as JSON")
    TOO_MANY_REQUESTS = ("too-many-requests", 429, "Too many attempts to pay")
    UNAVAILABLE = ("service-unavailable", 503, "A part of the service is out of reach")
    INTERNAL = ("internal-error", 500, "Something is wrong on our side")

    @property
    def type(self) -> str:
        """The problem's `type`, a path on this server."""
        return f"/problems/{self.value[0]}"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[1]

    @property
    def title(self) -> str:
        """The problem's `title`."""
        return self.value[2]


class FieldError(BaseModel):
    """One thing that is wrong in a request, and where. Never the value itself."""

    location: str = Field(examples=["credit_card.number"])
    message: str = Field(examples=["this is not a valid card number"])


class Problem(BaseModel):
    """A problem, as RFC 9457 describes it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


@dataclass
class ProblemError(Exception):
    """Ends a request with a problem. `extra` holds members of that kind of problem."""

    kind: Kind
    detail: str
    errors: Sequence[FieldError] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def install(app: FastAPI) -> None:
    """Have `app` answer every error with a problem."""

    @app.exception_handler(ProblemError)
    async def problem(_: Request, error: ProblemError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def unfit(_: Request, error: RequestValidationError) -> JSONResponse:
        # Never the input: it may hold a card number.
        errors = [
            FieldError(location=_location(e), message=_message(e))
            for e in error.errors()[:_MOST_ERRORS]
        ]
        return answer(invalid(*errors))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        told = _BY_STATUS.get(error.status_code, (Kind.INVALID_REQUEST, _SEE_DOCS))
        made = answer(ProblemError(*told))
        made.headers.update(error.headers or {})
        if error.status_code == 405:
            made.headers["Allow"] = _allowed(request, error)
        return made

    async def domain(_: Request, error: Exception) -> JSONResponse:
        return answer(_from_domain(error))

    for domain_error in (
        RecordsUnavailableError,
        UnavailableError,
        OutcomeUnknownError,
        RefusedError,
        InvalidAmountError,
        InvalidCallbackError,
    ):
        app.add_exception_handler(domain_error, domain)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> JSONResponse:
        # The route, not the path: anything may stand in a path.
        route = getattr(request.scope.get("route"), "path", None)
        _log.error("defect", route=route, error=type(error).__name__)
        return answer(ProblemError(Kind.INTERNAL, "It is in our log. Ask again, then ask us."))


_SEE_DOCS = "See /docs for the addresses and their methods."
_BY_STATUS = {
    404: (Kind.NOT_FOUND, _SEE_DOCS),
    405: (Kind.METHOD_NOT_ALLOWED, _SEE_DOCS),
    415: (
        Kind.UNSUPPORTED_MEDIA_TYPE,
        "Send JSON, with `Content-Type: application/json`. Nothing was done.",
    ),
}
"""What the framework finds out for itself."""


def invalid(*errors: FieldError) -> ProblemError:
    """The request is wrong where `errors` say."""
    detail = "Correct what `errors` names and send the request again. Nothing was done."
    return ProblemError(Kind.INVALID_REQUEST, detail, errors)


def unavailable(part: str, done: str = "This request changed nothing.") -> ProblemError:
    """Our fault; the same request may be sent again. `done` says what was done all the same."""
    return ProblemError(
        Kind.UNAVAILABLE, f"{part} {done} Send the same request again in a few seconds."
    )


def answer(error: ProblemError) -> JSONResponse:
    """`error` as an HTTP answer."""
    kind = error.kind
    problem = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        errors=list(error.errors) or None,
        **error.extra,
    )
    headers = dict(ALWAYS)
    if kind is Kind.UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if kind is Kind.TOO_MANY_REQUESTS:
        headers["Retry-After"] = str(_LIMITED_SECONDS)
    if kind is Kind.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem.model_dump(mode="json", exclude_none=True),
        kind.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` for `kinds`, for an address with a card number in it, and for a
    defect, with an example of each."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys((Kind.INVALID_REQUEST, *kinds, Kind.INTERNAL)):
        response = responses.setdefault(
            kind.status,
            {"model": Problem, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        response["description"] = " · ".join(filter(None, [response["description"], kind.title]))
        response["content"][MEDIA_TYPE]["examples"][kind.value[0]] = {"value": _example(kind)}
    return responses


def with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description as it really is: every error is a problem, and 422 does not occur."""
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
            for response in operation["responses"].values():
                content = response.get("content", {})
                if MEDIA_TYPE in content:
                    # FastAPI puts the schema under the media type of the route's success.
                    for other in content.keys() - {MEDIA_TYPE}:
                        content[MEDIA_TYPE].update(content.pop(other))
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
    return schema


def _allowed(request: Request, error: HTTPException) -> str:
    """Every method of the address (RFC 9110, 10.2.1). The framework names those of one route, and
    for files none."""
    here = getattr(request.scope.get("route"), "path", None)
    if here is None:
        return (error.headers or {}).get("Allow", "GET, HEAD")
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path == here]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


def _example(kind: Kind) -> dict[str, Any]:
    detail, extra = _EXAMPLES[kind]
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        **extra,
    }


_EXAMPLES: dict[Kind, tuple[str, dict[str, Any]]] = {
    Kind.INVALID_REQUEST: (
        "Correct what `errors` names and send the request again. Nothing was done.",
        {
            "errors": [
                {"location": "credit_card.number", "message": "this is not a valid card number"}
            ]
        },
    ),
    Kind.DECLINED: (
        "The card has insufficient funds. Another payment method may be tried.",
        {"code": "insufficient_funds", "retryable": True, "attempt": 1},
    ),
    Kind.REFUSED: (
        "No such payment method. Another payment method may be tried.",
        {"code": "resource_missing", "retryable": True, "attempt": 1},
    ),
    Kind.METHOD_NOT_OFFERED: (
        "Choose one that is offered for 49.99 USD: credit_card, apple_pay. Nothing was done.",
        {
            "errors": [
                {"location": "payment_method", "message": "this is not offered for 49.99 USD"}
            ],
            "offered": ["credit_card", "apple_pay"],
        },
    ),
    Kind.RAW_CARDS_OFF: (
        "Have the gateway's own field or page turn the card into a token, and send it as "
        "payment_method_token. Nothing was done.",
        {},
    ),
    Kind.INVALID_CALLBACK: ("the callback is not signed. Nothing was stored.", {}),
    Kind.UNAUTHORIZED: (
        "This API key is not known. Send yours as `Authorization: Bearer <API key>`.",
        {},
    ),
    Kind.FORBIDDEN: (
        "This needs an API key with the scope refunds:write. Nothing was done.",
        {"needed_scope": "refunds:write"},
    ),
    Kind.NOT_FOUND: ("No order order-12345 was started here.", {}),
    Kind.METHOD_NOT_ALLOWED: (_SEE_DOCS, {}),
    Kind.TIMEOUT: ("Send the whole request within 10 seconds. Nothing was done.", {}),
    Kind.ORDER_MISMATCH: (
        "Order order-12345 is for 49.99 USD, not 59.99 USD. Use a new order_id for another amount. "
        "Nothing was done.",
        {},
    ),
    Kind.ORDER_CLOSED: (
        "The order is canceled, its payment voided. Start again with a new order_id.",
        {},
    ),
    Kind.CARD_NOT_ACCEPTED: (
        "This card was declined for good; ask for another. Nothing was charged.",
        {},
    ),
    Kind.TOO_MANY_ATTEMPTS: ("5 attempts were made. Start again with a new order_id.", {}),
    Kind.KEY_REUSED: ("Send a new Idempotency-Key with a new request. Nothing was done.", {}),
    Kind.NOT_CAPTURABLE: ("The order is canceled, its payment voided: nothing to take.", {}),
    Kind.NOT_CANCELABLE: (
        "49.99 USD was captured already: refund it instead. Nothing was done.",
        {"links": {"refunds": "/api/payment/order-12345/refunds"}},
    ),
    Kind.NOT_REFUNDABLE: (
        "39.99 USD can be refunded, and no more. Nothing was done.",
        {"refundable": "39.99", "links": {"payment": "/api/payment/order-12345"}},
    ),
    Kind.NOTHING_UNKNOWN: (
        "The payment is captured, and no outcome of that kind waits to be known. Read the payment: "
        "`unknown` lists what does. Nothing was done.",
        {"links": {"payment": "/api/payment/order-12345"}},
    ),
    Kind.CONTENT_TOO_LARGE: ("Send at most 65536 bytes. Nothing was done.", {}),
    Kind.UNSUPPORTED_MEDIA_TYPE: (_BY_STATUS[415][1], {}),
    Kind.TOO_MANY_REQUESTS: (
        "Too many attempts to pay came to nothing. Ask again later. Nothing was charged.",
        {},
    ),
    Kind.UNAVAILABLE: (
        "The database is out of reach. This request changed nothing. Send the same request again "
        "in a few seconds.",
        {},
    ),
    Kind.INTERNAL: ("It is in our log. Ask again, then ask us.", {}),
}


def _from_domain(error: Exception) -> ProblemError:
    match error:
        case RecordsUnavailableError():
            return unavailable("The database is out of reach.")
        case UnavailableError() | OutcomeUnknownError():
            # Only tokens and saved methods are asked for on the request path: no money moves.
            return unavailable("The payment gateway is out of reach.", "Nothing was charged.")
        case RefusedError():
            return ProblemError(
                Kind.REFUSED, error.message, extra={"code": error.code, "retryable": True}
            )
        case InvalidAmountError():
            return ProblemError(
                Kind.INVALID_REQUEST,
                "Correct the amount and send the request again. Nothing was done.",
                [FieldError(location="amount", message=str(error))],
            )
        case _:
            return ProblemError(Kind.INVALID_CALLBACK, f"{error}. Nothing was stored.")


def _location(error: Mapping[str, Any]) -> str:
    """Where it is wrong, from the request's outside to its inside."""
    if error["type"] == "json_invalid":
        return "body"
    # A number is a place in a list.
    names = [name for name in error["loc"][1:] if isinstance(name, str) and name != "[key]"]
    return ".".join(n if _SHOWABLE_NAME.fullmatch(n) else "…" for n in names) or "body"


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return str(error["ctx"]["error"])  # ours, from `body`
    if error["loc"][-1] == "customer_email":
        return "this is not an email address"  # the library's words quote from it
    return str(error["msg"]).removeprefix("Value error, ")
