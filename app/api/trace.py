"""What is known of a call by now, for the audit trail."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection


@dataclass
class Trace:
    """Who is calling, with which API key, about which object; as far as that is certain."""

    who: str | None = None
    key_id: str | None = None
    object: str | None = None


def trace_of(request: HTTPConnection) -> Trace:
    """That of this call."""
    trace: Trace = request.state.trace
    return trace


WithTrace = Annotated[Trace, Depends(trace_of)]
