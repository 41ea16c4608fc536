"""What is known of a call by now, for the audit trail."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from app.domain.api_keys import Client, NotAuthenticatedError, ScopeMissingError


@dataclass
class Trace:
    """Who is calling, with which API key, about which object; as far as that is certain."""

    who: str | None = None
    key_id: str | None = None
    object: str | None = None

    def admitted(self, client: Client) -> None:
        """It is `client` who is calling."""
        self.who, self.key_id = client.name, client.key_id

    def refused(self, error: NotAuthenticatedError | ScopeMissingError) -> None:
        """It is somebody who may not come in."""
        if error.client is not None:
            self.admitted(error.client)
        elif isinstance(error, NotAuthenticatedError):
            self.key_id = error.key_id


def trace_of(request: HTTPConnection) -> Trace:
    """That of this call."""
    trace: Trace = request.state.trace
    return trace


WithTrace = Annotated[Trace, Depends(trace_of)]
