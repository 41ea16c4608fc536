"""Stripe's error object, and the two ways a call ends badly.

`ApiError` is raised when nothing happened: whatever the call wrote is rolled back. A decline is
not raised: it is an answer (`Reply` with status 402) whose charge and events are kept.
"""

from dataclasses import dataclass, field
from typing import Any

from sandbox.blot import blotted
from sandbox.store import Json

_DOCS = "https://docs.stripe.com/error-codes/"


def shown(text: str) -> str:
    """What a caller wrote, short and with anything like a card or account number blotted out."""
    return blotted(text)[:64]


@dataclass(frozen=True)
class Reply:
    """What is sent back: a JSON body, an HTTP status, and what else the headers tell."""

    body: Json
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """A refusal. `stored` tells whether an idempotency key remembers it."""

    def __init__(self, status: int, fields: Json, *, stored: bool = False) -> None:
        super().__init__(fields["message"])
        self.status = status
        self.fields = fields
        self.stored = stored


def error_fields(kind: str, message: str, code: str | None = None, **more: Any) -> Json:
    """The fields of an error object; those that are None are left out, as Stripe does."""
    doc_url = None if code is None else _DOCS + code.replace("_", "-")
    fields = {"code": code, "doc_url": doc_url, "message": message, **more, "type": kind}
    return {name: value for name, value in fields.items() if value is not None}


def invalid(message: str, code: str | None = None, param: str | None = None) -> ApiError:
    """400: the parameters are wrong; no idempotency key remembers it."""
    return ApiError(400, error_fields("invalid_request_error", message, code, param=param))


def refused(message: str, code: str | None = None, **more: Any) -> ApiError:
    """400: the parameters are right but the objects' state forbids it; a key remembers it."""
    return ApiError(400, error_fields("invalid_request_error", message, code, **more), stored=True)


def missing(kind: str, object_id: str, param: str = "id") -> ApiError:
    """The object does not exist: 404 when the address names it, 400 when a parameter does."""
    status = 404 if param in ("id", "intent") else 400
    message = f"There is no {kind.replace('_', ' ')} with the id '{shown(object_id)}'."
    fields = error_fields("invalid_request_error", message, "resource_missing", param=param)
    return ApiError(status, fields)


def too_many(code: str) -> Reply:
    """429: `rate_limit`, or `lock_timeout` for an object that another request works on."""
    if code == "lock_timeout":
        message = "Another request is working on this object; try again."
        return Reply({"error": error_fields("invalid_request_error", message, code)}, 429)
    fields = error_fields("invalid_request_error", "Too many requests in too little time.", code)
    return Reply({"error": fields}, 429, {"Stripe-Rate-Limited-Reason": "global-rate"})


def unfit(message: str) -> ApiError:
    """422, from the control API only: what a test asks for does not fit the object's state."""
    return ApiError(422, error_fields("invalid_request_error", message))


def bad_card(message: str, code: str, param: str) -> ApiError:
    """402: the card details themselves are wrong, before any bank was asked."""
    return ApiError(402, error_fields("card_error", message, code, param=param), stored=True)
