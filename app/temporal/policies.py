"""How long each step may take and how it is tried again, each with its reason."""

from datetime import timedelta
from typing import Any

from temporalio.common import RetryPolicy

# A crashed worker is noticed by its missing heartbeats, long before the call's own time-out.
HEARTBEAT_TIMEOUT = timedelta(seconds=6)

# The gateway may take GATEWAY_TIMEOUT_SECONDS (20 by default); the rest is for our own records.
GATEWAY_CALL = timedelta(seconds=35)

# An authorization has a shopper waiting: four tries in about four seconds, then we say so.
AUTHORIZE: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(milliseconds=500), backoff_coefficient=2, maximum_attempts=4
    ),
}

# Capture, void and refund can wait: a storefront gets 202 meanwhile. Six tries in about half a
# minute under one key; then the workflow looks, or pauses, before it goes on.
MOVE_MONEY: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_attempts=6
    ),
}

# Looking up changes nothing, so it goes on until there is an answer; a minute between tries keeps
# eight of them, at most, in a minute's outage.
LOOK_UP: dict[str, Any] = {
    "start_to_close_timeout": GATEWAY_CALL,
    "heartbeat_timeout": HEARTBEAT_TIMEOUT,
    "retry_policy": RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=2,
        maximum_interval=timedelta(minutes=1),
    ),
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
