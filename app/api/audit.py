"""Has the audit trail tell of every call that may change something, of what operators do, and of
who was refused."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import answer, unavailable
from app.api.trace import Trace
from app.db.audit import Trail
from app.domain.api_keys import Scope as KeyScope
from app.domain.audit import Action
from app.domain.card_numbers import holds_card_number
from app.domain.order import ORDER_ID
from app.domain.records import RecordsUnavailableError

# That a storefront reads is no business of the trail; that somebody was refused is.
_REFUSED = {401, 403, 429}
# Sure to have changed nothing, so nobody waits until the trail tells of it. A decline is not.
_UNDONE = {*_REFUSED, 404, 413}
_UNAVAILABLE = 503


class Audited:
    """Around everything that answers. What was done is answered once `app.state.audit` tells of it.

    `doors`: every one that it tells of, as `METHOD /path`, and the scope that opens it.
    """

    def __init__(self, app: ASGIApp, doors: Mapping[str, KeyScope | None]) -> None:
        self._app = app
        self._doors = doors
        self._patterns = {door: compile_path(door.split()[1])[0] for door in doors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call(scope) if scope["type"] == "http" else None
        if call is None:
            await self._app(scope, receive, send)
            return
        answered = withheld = False

        async def tell(message: Message) -> None:
            nonlocal answered, withheld
            if message["type"] == "http.response.start":
                answered = True
                withheld = not await call.told(message["status"])
                if withheld:
                    await _NOT_RECORDED(scope, receive, send)
            if not withheld:
                await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception:
            if not answered:
                await call.told(500)
            raise
        except asyncio.CancelledError:  # this process must end
            if not answered:
                call.interrupted()
            raise

    def _call(self, scope: Scope) -> "_Call | None":
        for door, pattern in self._patterns.items():
            match = pattern.match(scope["path"])
            if match is not None and door.startswith(f"{scope['method']} "):
                reads = door.startswith("GET ") and self._doors[door] is not KeyScope.OPERATOR
                return _Call(scope, door, reads, _fit(match.groupdict().get("order_id")))
        return None


class _Call:
    """A call at one of the doors. `reads`: it only matters if it is refused."""

    def __init__(self, scope: Scope, door: str, reads: bool, object_: str | None) -> None:
        self._trail: Trail = scope["app"].state.audit
        self._source = _address(scope["client"])
        self._door = door
        self._reads = reads
        self._trace = Trace(object=object_)
        scope.setdefault("state", {})["trace"] = self._trace

    async def told(self, status: int) -> bool:
        """Have the trail tell how it ended, if that is its business. False where it cannot, and
        something may have been done that the answer would speak of."""
        if self._reads and status not in _REFUSED:
            return True
        action = self._action(str(status))
        # Without the database nobody can be let in: nothing was done, and it would be waited for
        # once more.
        if status in _UNDONE or (status == _UNAVAILABLE and self._trace.who is None):
            self._trail.note(action)
            return True
        try:
            await self._trail.record(action)
        except RecordsUnavailableError:
            return status == _UNAVAILABLE  # which it would be told, too
        return True

    def interrupted(self) -> None:
        """Have the trail tell that nobody was answered."""
        if not self._reads:
            self._trail.note(self._action("interrupted"))

    def _action(self, result: str) -> Action:
        trace = self._trace
        return Action(
            datetime.now(UTC),
            trace.who,
            trace.key_id,
            self._source,
            self._door,
            trace.object,
            result,
        )


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
