"""How long each step may take and how it is tried again, each with its reason."""

from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy

# One call to Temporal itself.
RPC_TIMEOUT = timedelta(seconds=5)

# A crashed worker is noticed by its missing heartbeats, long before the call's own time-out.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)

# The gateway may take GATEWAY_TIMEOUT_SECONDS (20 by default); the rest is for our own records.
GATEWAY_CALL = timedelta(seconds=35)

# While the gateway is away it is asked about one payment eight times a minute at most, and again
# within a minute of its return.

# An authorization has a shopper waiting: four tries in about four seconds, then we say so. One
# that follows an outage within a minute is tried once, as long as there were fewer than eight.
AUTHORIZE_TRIES = 4
AUTHORIZE_TRIES_A_MINUTE = 8


def authorize(tries: int = AUTHORIZE_TRIES) -> dict[str, Any]:
    """The policy for that many tries."""
    return {
        "start_to_close_timeout": GATEWAY_CALL,
        "heartbeat_timeout": HEARTBEAT_TIMEOUT,
        "retry_policy": RetryPolicy(
            initial_interval=timedelta(milliseconds=500),
            backoff_coefficient=2,
            maximum_attempts=tries,
        ),
    }


# Capture and void can wait: a storefront gets 202 meanwhile. Five tries in half a minute under one
# key; then the workflow looks before it goes on.
MOVE_MONEY: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2, maximum_attempts=5
    ),
}

# A refund is two requests: it is looked for before it is made. So fewer tries.
REFUND: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=2), backoff_coefficient=2, maximum_attempts=4
    ),
}

# Looking up changes nothing, so it goes on until there is an answer.
LOOK_UP: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=5),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=30),
    ),
}

# One of the checks of an unknown outcome: the workflow itself knows when the next one is.
LOOK_ONCE: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(maximum_attempts=1),
}

# Our own database, and nothing else: it comes back, so wait for it.
RECORD: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=10),
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        backoff_coefficient=2,
        maximum_interval=timedelta(seconds=10),
    ),
}

# A fulfilment step is done or refused; an outage in between is waited out.
FULFIL: dict[str, Any] = {
    "start_to_close_timeout": timedelta(seconds=30),
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2,
        maximum_interval=timedelta(minutes=1),
    ),
}

# A page of a reconciliation is a hundred payments with a look into our records for each, and some
# questions to the gateway. Nobody waits for it, so it goes on until it is done.
RECONCILE: dict[str, Any] = {
    "start_to_close_timeout": timedelta(minutes=10),
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2,
        maximum_interval=timedelta(minutes=1),
    ),
}
