"""From the domain's errors to Temporal's retry decisions. The only such translation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from enum import StrEnum

from temporalio import activity
from temporalio.exceptions import ApplicationError

from app.domain.fulfilment import StepRefusedError
from app.domain.gateway import OutcomeUnknownError, RefusedError, UnavailableError
from app.domain.records import RecordsUnavailableError, RefundRefusedError

_HEARTBEAT_EVERY_SECONDS = 2.0
# A gateway that asks for a longer pause is asked again all the same.
_LONGEST_RETRY_AFTER = timedelta(seconds=30)


class Failure(StrEnum):
    """`ApplicationError.type`: what the workflow decides by."""

    REFUSED = "refused"  # final
    UNAVAILABLE = "unavailable"  # nothing was done
    OUTCOME_UNKNOWN = "outcome_unknown"  # it may have been done
    RECORDS_UNAVAILABLE = "records_unavailable"


def translated(error: Exception, usual_pause: timedelta = timedelta()) -> ApplicationError | None:
    """The retry decision for `error`, or None if it is not one of the domain's. `usual_pause`
    before the next try may be made longer, not shorter."""
    match error:
        case RefusedError() | StepRefusedError() | RefundRefusedError():
            return ApplicationError(str(error), type=Failure.REFUSED, non_retryable=True)
        case UnavailableError():
            delay = _longer(error.retry_after, usual_pause)
            return ApplicationError(str(error), type=Failure.UNAVAILABLE, next_retry_delay=delay)
        case OutcomeUnknownError():
            return ApplicationError(str(error), type=Failure.OUTCOME_UNKNOWN)
        case RecordsUnavailableError():
            return ApplicationError(str(error), type=Failure.RECORDS_UNAVAILABLE)
        case _:
            return None


@asynccontextmanager
async def reported() -> AsyncIterator[None]:
    """Around an activity's work: heartbeats while it lasts, retry decisions when it fails."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    except Exception as error:
        decision = translated(error, _usual_pause(activity.info()))
        if decision is None:
            raise
        raise decision from error
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


def _longer(retry_after: float | None, usual_pause: timedelta) -> timedelta | None:
    """What the gateway asks for, where that is longer than the usual pause."""
    asked_for = min(timedelta(seconds=retry_after or 0), _LONGEST_RETRY_AFTER)
    return asked_for if asked_for > usual_pause else None


def _usual_pause(info: activity.Info) -> timedelta:
    """Until the next try by the retry policy."""
    policy = info.retry_policy
    if policy is None:
        return timedelta()
    growth = policy.backoff_coefficient ** min(info.attempt - 1, 16)
    longest = policy.maximum_interval or 100 * policy.initial_interval  # the server's own rule
    return min(policy.initial_interval * growth, longest)


async def _beat() -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_EVERY_SECONDS)
        if not activity.info().is_local:
            activity.heartbeat()
