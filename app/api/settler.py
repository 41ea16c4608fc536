"""Counts what became of attempts to pay, as soon as that is known."""

import asyncio
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import Depends, Request

from app.attempt_limits import AttemptLimits, Outcome
from app.db.unsettled import Unsettled, UnsettledAttempts
from app.domain.methods import FLOW, Flow
from app.domain.payment import (
    IN_FLIGHT,
    MAY_TRY_AGAIN,
    OPEN_TO_ATTEMPTS,
    Attempt,
    OrderState,
    Payment,
    State,
)
from app.domain.records import Records

_log = structlog.get_logger()

_LOOK_SECONDS = 1.0
# Nobody learns of a card by these, and their shoppers may take days.
_NOT_CARDS = frozenset(m for m, flow in FLOW.items() if flow not in (Flow.CARD, Flow.WALLET))


class Settler:
    """Looks after the attempts of every API process: what one that has ended left, another
    finds."""

    def __init__(
        self, records: Records, unsettled: UnsettledAttempts, limits: AttemptLimits
    ) -> None:
        self._records = records
        self._unsettled = unsettled
        self._limits = limits
        self._woken = asyncio.Event()
        self._task = asyncio.create_task(self._work())

    def wake(self) -> None:
        """There may be news. Returns at once."""
        self._woken.set()

    async def close(self) -> None:
        """Stop. What is in the middle of being counted keeps its place."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def settle(self) -> bool:
        """Count all that is known. Whether some is not. Raises RecordsUnavailableError."""
        attempts = await self._unsettled.all()
        settled = [await self._settle(one) for one in attempts if not _must_wait(one)]
        return sum(settled) < len(attempts)

    async def _settle(self, one: Unsettled) -> bool:
        payment = await self._records.find_payment(one.order_id)
        outcome = outcome_of(payment, one.attempt) if payment is not None else None
        if outcome is None:
            return False
        if await self._unsettled.take(one.order_id, one.attempt):
            await self._limits.end(one.names, outcome)
        return True

    async def _work(self) -> None:
        while True:
            left = True
            try:
                left = await self.settle()
            except Exception as error:
                _log.warning("attempts are counted late", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS if left else None):
                    await self._woken.wait()
            self._woken.clear()


def outcome_of(payment: Payment, number: int) -> Outcome | None:
    """What became of an attempt, or None while that is not known.

    A card whose bank wants the shopper to authenticate counts until they did: who tests cards
    learns enough by being asked.
    """
    attempt = payment.attempts.get(number)
    if attempt is None:  # it may still be made
        return None if _is_open(payment.order_state, payment.state) else Outcome.OPEN
    if _is_under_way(attempt.state, _method(attempt)):
        last = attempt == payment.attempt
        open_ = _is_open(payment.order_state, payment.state)
        return None if last and open_ else Outcome.DECLINED
    if attempt.state in MAY_TRY_AGAIN:
        return Outcome.OPEN if attempt.was_never_answered else Outcome.DECLINED
    if attempt.state in (State.REQUIRES_ACTION, State.PROCESSING):
        return Outcome.OPEN
    return Outcome.PAID


def settler_of(request: Request) -> Settler:
    """That of this process."""
    settler: Settler = request.app.state.settler
    return settler


WithSettler = Annotated[Settler, Depends(settler_of)]


def _must_wait(one: Unsettled) -> bool:
    """Whether its order's latest attempt is under way, so that there is nothing to read."""
    return _is_open(one.order_state, one.state) and _is_under_way(one.state, one.method)


def _is_open(order: OrderState, state: State) -> bool:
    return order is not OrderState.CANCELED and state in OPEN_TO_ATTEMPTS


def _is_under_way(state: State, method: str | None) -> bool:
    asks = state is State.REQUIRES_ACTION and method not in _NOT_CARDS
    return asks or state in IN_FLIGHT


def _method(attempt: Attempt) -> str | None:
    return attempt.method.type if attempt.method is not None else None
