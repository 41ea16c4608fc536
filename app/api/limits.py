"""The limits of card testing, at the storefront's door."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import Counter

from app.api.problems import Kind, ProblemError
from app.api.schemas import InitiateRequest
from app.attempt_limits import Outcome
from app.domain.api_keys import Client
from app.domain.gateway import OutcomeUnknownError, UnavailableError
from app.domain.payment import MAY_TRY_AGAIN, Attempt, State
from app.domain.records import RecordsUnavailableError
from app.wiring import Parts

_limited = Counter("tillflow_attempts_limited", "Attempts to pay that were answered 429.")
_SITE = 64  # bits of an IPv6 address that one household or office shares
# The gateway's time-out, and some more. Who floods us has to wait as long for the next places.
_WATCH_SECONDS = 30
_LOOK_SECONDS = 1.0
_OPEN = frozenset({State.UNKNOWN, State.REQUIRES_ACTION, State.PROCESSING})


class Watchers:
    """Wait for what becomes of attempts, beside the requests. There are no more of them than
    places."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, watch: Coroutine[None, None, None]) -> None:
        """Have it done beside the requests."""
        task = asyncio.create_task(watch)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop. What was not known yet keeps its place."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Admission:
    """Whether a request may make an attempt, and what becomes of it."""

    def __init__(
        self, parts: Parts, order_id: str, subjects: Mapping[str, str], watchers: Watchers
    ) -> None:
        self._parts = parts
        self._order_id = order_id
        self._subjects = subjects
        self._watchers = watchers
        self._begun = False
        self.attempt: int | None = None
        """The number of the one that it makes."""
        self.outcome = Outcome.DECLINED
        """Where it makes none."""

    async def begin(self) -> None:
        """Before anything is asked of the gateway; a second time does nothing. Raises the
        too-many-requests problem."""
        if self._begun:
            return
        if not await self._parts.attempt_limits.begin(self._subjects):
            _limited.inc()
            raise ProblemError(
                Kind.TOO_MANY_REQUESTS,
                "Too many attempts to pay came to nothing. Ask again later. Nothing was charged.",
            )
        self._begun = True

    def end(self) -> None:
        """Count what became of it, as soon as that is known. The storefront is answered before: a
        place that is given back late is nobody's loss."""
        if self._begun:
            self._watchers.start(self._watch())

    async def _watch(self) -> None:
        outcome = self.outcome if self.attempt is None else await self._look(self.attempt)
        with suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_SECONDS):
                while outcome is None and self.attempt is not None:
                    await asyncio.sleep(_LOOK_SECONDS)
                    outcome = await self._look(self.attempt)
        await self._count(Outcome.OPEN if outcome is None else outcome)

    async def _look(self, number: int) -> Outcome | None:
        with suppress(RecordsUnavailableError):
            payment = await self._parts.records.find_payment(self._order_id)
            attempt = payment.attempts.get(number) if payment is not None else None
            return _outcome(attempt) if attempt is not None else None
        return None

    async def _count(self, outcome: Outcome) -> None:
        # Not counted, it keeps its place: nothing is owed to the storefront.
        with suppress(RecordsUnavailableError):
            await self._parts.attempt_limits.end(self._subjects, outcome)


@asynccontextmanager
async def admission(
    parts: Parts, client: Client, watchers: Watchers, body: InitiateRequest
) -> AsyncIterator[Admission]:
    """For the time of a request. An outage is held against nobody."""
    admission = Admission(parts, body.order_id, _subjects(client, body), watchers)
    try:
        yield admission
    except (UnavailableError, OutcomeUnknownError, RecordsUnavailableError):
        admission.outcome = Outcome.OPEN
        raise
    except ProblemError as problem:
        if problem.kind is Kind.UNAVAILABLE:
            admission.outcome = Outcome.OPEN
        raise
    finally:
        admission.end()


def watchers_of(request: Request) -> Watchers:
    """Those of this process."""
    watchers: Watchers = request.app.state.watchers
    return watchers


WithWatchers = Annotated[Watchers, Depends(watchers_of)]


def _outcome(attempt: Attempt) -> Outcome | None:
    """What became of an attempt, or None while it is on its way."""
    if attempt.state is State.INITIATED:
        return None
    if attempt.state in MAY_TRY_AGAIN:
        return Outcome.OPEN if attempt.was_never_answered else Outcome.DECLINED
    return Outcome.OPEN if attempt.state in _OPEN else Outcome.PAID


def _subjects(client: Client, body: InitiateRequest) -> Mapping[str, str]:
    """Whom an attempt is counted for. The narrowest first."""
    card = body.credit_card
    known = {
        "order": body.order_id,
        "card": card.number.get_secret_value() if card is not None else body.payment_method_token,
        "address": _site(body.customer_ip_address),
        "key": client.name,
    }
    return {kind: subject for kind, subject in known.items() if subject}


def _site(text: str | None) -> str | None:
    """Who has one IPv6 address has as many as they like."""
    if text is None:
        return None
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(ip_network((address, min(_SITE, address.max_prefixlen)), strict=False))
