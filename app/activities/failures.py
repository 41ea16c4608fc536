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


class Failure(StrEnum):
    """`ApplicationError.type`: what the workflow decides by."""

    REFUSED = "refused"  # final
    UNAVAILABLE = "unavailable"  # nothing was done
    OUTCOME_UNKNOWN = "outcome_unknown"  # it may have been done
    RECORDS_UNAVAILABLE = "records_unavailable"


def translated(error: Exception) -> ApplicationError | None:
    """The retry decision for `error`, or None if it is not one of the domain's."""
    match error:
        case RefusedError() | StepRefusedError() | RefundRefusedError():
            return ApplicationError(str(error), type=Failure.REFUSED, non_retryable=True)
        case UnavailableError():
            delay = timedelta(seconds=error.retry_after) if error.retry_after else None
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
        decision = translated(error)
        if decision is None:
            raise
        raise decision from error
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat() -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_EVERY_SECONDS)
        if not activity.info().is_local:
            activity.heartbeat()
