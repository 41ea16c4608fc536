"""The limits of card testing, at the storefront's door."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv6Address, ip_address, ip_network

from prometheus_client import Counter

from app.api.problems import Kind, ProblemError
from app.api.schemas import InitiateRequest
from app.api.settler import Settler
from app.attempt_limits import Outcome
from app.domain.api_keys import Client
from app.domain.gateway import OutcomeUnknownError, UnavailableError
from app.domain.records import RecordsUnavailableError
from app.wiring import Parts

_limited = Counter("tillflow_attempts_limited", "Attempts to pay that were answered 429.")
_SITE = 64  # bits of an IPv6 address that one household or office shares


class Admission:
    """Whether a request may make an attempt. `names`: under which it is counted."""

    def __init__(self, parts: Parts, order_id: str, names: Sequence[str], settler: Settler) -> None:
        self._parts = parts
        self._order_id = order_id
        self._names = names
        self._settler = settler
        self._has_places = False
        self._makes_one = False
        self.outcome = Outcome.DECLINED
        """Where it makes none."""

    async def begin(self) -> None:
        """Before anything is asked of the gateway. Raises the too-many-requests problem."""
        if not await self._parts.attempt_limits.begin(self._names):
            _limited.inc()
            raise ProblemError(
                Kind.TOO_MANY_REQUESTS,
                "Too many attempts to pay came to nothing. Ask again later. Nothing was charged.",
            )
        self._has_places = True

    async def make(self, attempt: int) -> None:
        """From now on the attempt of that number may be made, and counts whatever is answered.

        Of several requests that make the same one, one counts with it. The others give back what
        they took; but not for another card, which the gateway has got all the same.
        """
        if not self._has_places:
            return
        unsettled = self._parts.unsettled_attempts
        if await unsettled.add(self._order_id, attempt, self._names):
            self._has_places, self._makes_one = False, True
            return
        counted = await unsettled.names_of(self._order_id, attempt)
        if counted is None or _card(counted) == _card(self._names):
            self.outcome = Outcome.OPEN

    async def end(self) -> None:
        """Count it, unless it is counted with the attempt."""
        if self._makes_one:
            self._settler.wake()
        if self._has_places:
            # Not counted, it keeps its places: nothing is owed to the storefront.
            with suppress(RecordsUnavailableError):
                await self._parts.attempt_limits.end(self._names, self.outcome)


@asynccontextmanager
async def admission(
    parts: Parts, client: Client, settler: Settler, body: InitiateRequest
) -> AsyncIterator[Admission]:
    """For the time of a request. An outage in which nothing was asked is held against nobody."""
    names = parts.attempt_limits.names(_subjects(client, body))
    admission = Admission(parts, body.order_id, names, settler)
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
        await admission.end()


def _card(names: Sequence[str]) -> str | None:
    return next((name for name in names if name.startswith("card:")), None)


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
