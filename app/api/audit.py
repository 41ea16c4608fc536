"""Has the audit trail tell of every call that may change something, of what operators do, and of
who was refused."""

from datetime import UTC, datetime
from ipaddress import ip_address

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.access import DOORS
from app.api.problems import answer, unavailable
from app.api.schemas import ORDER_ID
from app.api.trace import Trace
from app.db.audit import AuditTrail
from app.domain.api_keys import Scope as KeyScope
from app.domain.audit import Action
from app.domain.card_numbers import holds_card_number
from app.domain.records import RecordsUnavailableError

# That a storefront reads is no business of the trail; that somebody was refused is.
_REFUSED = {401, 403, 429}
# Nothing was done, so nothing waits until the trail tells of it: least of all for a database that
# is away.
_UNDONE = {*_REFUSED, 413, 503}


_PATTERNS = {door: compile_path(door.split()[1])[0] for door in DOORS}


class Audited:
    """Around everything that answers. What was done is answered once the trail tells of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _Call.at(scope) if scope["type"] == "http" else None
        if call is None:
            await self._app(scope, receive, send)
            return
        withheld = False

        async def tell(message: Message) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                withheld = not await call.told(message["status"])
                if withheld:
                    await _NOT_RECORDED(scope, receive, send)
            if not withheld:
                await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:
            await call.told(500)
            raise


class _Call:
    """A call at one of the doors."""

    def __init__(self, scope: Scope, door: str, object_: str | None) -> None:
        self._trail: AuditTrail = scope["app"].state.parts.audit
        self._source = _address(scope["client"])
        self._door = door
        self._trace = Trace(object=object_)
        scope.setdefault("state", {})["trace"] = self._trace

    @classmethod
    def at(cls, scope: Scope) -> "_Call | None":
        for door, pattern in _PATTERNS.items():
            match = pattern.match(scope["path"])
            if match is not None and door.startswith(f"{scope['method']} "):
                return cls(scope, door, _fit(match.groupdict().get("order_id")))
        return None

    async def told(self, status: int) -> bool:
        """Have the trail tell how it ended, if that is its business. False where it cannot, and
        something was done."""
        reads = self._door.startswith("GET ") and DOORS[self._door] is not KeyScope.OPERATOR
        if reads and status not in _REFUSED:
            return True
        trace = self._trace
        action = Action(
            datetime.now(UTC),
            trace.who,
            trace.key_id,
            self._source,
            self._door,
            trace.object,
            str(status),
        )
        if status in _UNDONE:
            self._trail.note(action)
            return True
        try:
            await self._trail.record(action)
        except RecordsUnavailableError:
            return status >= 400
        return True


def _address(client: tuple[str, int] | None) -> str:
    """Where a call comes from. A proxy passes on anything."""
    try:
        return str(ip_address(client[0])) if client is not None else "unknown"
    except ValueError:
        return "unknown"


def _fit(order_id: str | None) -> str | None:
    """Anything may stand in a path."""
    if order_id is None or not ORDER_ID.fullmatch(order_id) or holds_card_number(order_id):
        return None
    return order_id


_NOT_RECORDED = answer(
    unavailable("The audit trail is out of reach.", "What you asked for may have been done.")
)
