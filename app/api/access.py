"""Who may come in: which scope opens which door, and the API keys that have it."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security.utils import get_authorization_scheme_param

from app.api.problems import Kind, ProblemError, documented
from app.api.trace import trace_of
from app.domain.api_keys import Client, NotAuthenticatedError, Scope, ScopeMissingError
from app.wiring import Parts

# Every door there is, and the scope that opens it. None: it is open to everyone.
DOORS: dict[str, Scope | None] = {
    "POST /api/payment/initiate": Scope.PAYMENTS_WRITE,
    "POST /api/payment/{order_id}/capture": Scope.PAYMENTS_WRITE,
    "POST /api/payment/{order_id}/cancel": Scope.PAYMENTS_WRITE,
    "GET /api/payment/{order_id}": Scope.PAYMENTS_READ,
    "GET /api/payments": Scope.PAYMENTS_READ,
    "GET /api/payment-methods": Scope.PAYMENTS_READ,
    "GET /api/payment/{order_id}/refunds": Scope.PAYMENTS_READ,
    "GET /api/payment/{order_id}/refunds/{refund_id}": Scope.PAYMENTS_READ,
    "POST /api/payment/{order_id}/refunds": Scope.REFUNDS_WRITE,
    "POST /api/payment/{order_id}/resolve": Scope.OPERATOR,
    "POST /api/payment/{order_id}/acknowledge": Scope.OPERATOR,
    "GET /api/callbacks/foreign": Scope.OPERATOR,
    "GET /api/callbacks/waiting": Scope.OPERATOR,
    "GET /api/reconciliations": Scope.OPERATOR,
    "POST /api/payment/callback": None,  # it is signed
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": None,
    "GET /openapi.json": None,
    "GET /docs": None,
    "GET /static-offline-docs": None,
}

_SCHEME = "ApiKey"
_HOW = "Send yours as `Authorization: Bearer <API key>`."


class KeyedRoute(APIRoute):
    """A route that an API key with its scope opens. Before, nobody looks at what the body says."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        [method] = options["methods"]
        needed = DOORS.get(f"{method} {path}")
        if needed is None:
            raise ValueError(f"{method} {path} has no scope in DOORS")
        self.needed = needed
        refusals = documented(Kind.UNAUTHORIZED, Kind.FORBIDDEN, Kind.UNAVAILABLE)
        options["responses"] = {**refusals, **(options.get("responses") or {})}
        options["openapi_extra"] = {"security": [{_SCHEME: [needed]}]}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def keyed(request: Request) -> Response:
            request.state.client = await _admitted(request, self.needed)
            return await handle(request)

        return keyed


def parts_of(request: Request) -> Parts:
    """The parts that this process works with."""
    parts: Parts = request.app.state.parts
    return parts


def client_of(request: Request) -> Client:
    """Who is calling. Only a `KeyedRoute` knows."""
    client: Client = request.state.client
    return client


WithParts = Annotated[Parts, Depends(parts_of)]
WithClient = Annotated[Client, Depends(client_of)]


def check_doors(app: FastAPI) -> None:
    """Raises ValueError where `DOORS` and the routes of `app` are not of the same mind."""
    found = set()
    for route in iter_route_contexts(app.routes):
        # What is mounted are files, to be read.
        for method in (route.methods or {"GET"}) - {"HEAD"}:
            door = f"{method} {route.path}"
            found.add(door)
            if door not in DOORS:
                raise ValueError(f"{door} does not stand in DOORS")
            if DOORS[door] is not getattr(route.original_route, "needed", None):
                raise ValueError(f"{door} needs a scope, and is no KeyedRoute")
    if DOORS.keys() != found:
        raise ValueError(f"DOORS without a route: {', '.join(sorted(DOORS.keys() - found))}")


def with_keys(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description, with what a key is."""
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer <API key>`",
    }
    schema["components"]["securitySchemes"] = {_SCHEME: scheme}
    return schema


async def _admitted(request: Request, needed: Scope) -> Client:
    trace = trace_of(request)
    scheme, offered = get_authorization_scheme_param(request.headers.get("authorization"))
    try:
        if scheme.lower() != "bearer":
            raise NotAuthenticatedError("An API key is needed")
        client = await parts_of(request).api_keys.authenticate(offered, needed)
    except NotAuthenticatedError as error:
        trace.refused(error)
        raise ProblemError(Kind.UNAUTHORIZED, f"{error}. {_HOW}") from None
    except ScopeMissingError as error:
        trace.refused(error)
        raise ProblemError(
            Kind.FORBIDDEN, f"{error}. Nothing was done.", extra={"needed_scope": error.needed}
        ) from None
    trace.admitted(client)
    return client
