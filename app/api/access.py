"""Who may come in: a Bearer API key."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.problems import Kind, ProblemError
from app.wiring import Parts

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer <API key>`")


def parts_of(request: Request) -> Parts:
    """The parts that this process works with."""
    parts: Parts = request.app.state.parts
    return parts


WithParts = Annotated[Parts, Depends(parts_of)]


def require_key(
    parts: WithParts,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raises a 401 problem unless the request carries one of our keys."""
    offered = credentials.credentials.encode() if credentials is not None else b""
    known = [key.get_secret_value().encode() for key in parts.settings.api_keys]
    # Every key is compared, so that the time taken tells nothing.
    matches = sum(hmac.compare_digest(offered, key) for key in known)
    if not matches:
        raise ProblemError(
            Kind.UNAUTHORIZED, "Send your API key as `Authorization: Bearer <API key>`."
        )
