"""For operators: callbacks that wait, and callbacks that are about no order of ours."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.api.access import KeyedRoute, WithParts
from app.domain.records import ForeignCallback, WaitingCallback

SHOWN = 100

router = APIRouter(
    prefix="/api/callbacks",
    tags=["callbacks"],
    route_class=KeyedRoute,
)

_FOREIGN: dict[str, Any] = {
    "event_id": "evt_3QJ8",
    "type": "refund.created",
    "received_at": "2030-01-02T03:04:05.678901Z",
    "order_id": None,
    "transaction_id": "pi_3QJ8",
    "amount": "49.99",
    "currency": "usd",
}


class ForeignView(BaseModel):
    """A signed callback about money of no order of ours. `order_id` is the one that it names."""

    event_id: str
    type: str
    received_at: datetime
    order_id: str | None
    transaction_id: str | None
    amount: str | None = Field(description="In major units.")
    currency: str | None


class ForeignList(BaseModel):
    """The latest of them, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"callbacks": [_FOREIGN]}]})

    callbacks: list[ForeignView]


_WAITING: dict[str, Any] = {
    "event_id": "evt_3QJ9",
    "type": "payment_intent.succeeded",
    "order_id": "order-12345",
    "received_at": "2030-01-02T03:04:05.678901Z",
    "failures": 0,
    "last_error": None,
    "next_try_at": None,
}


class WaitingView(BaseModel):
    """A stored callback that no workflow has been told yet."""

    event_id: str
    type: str
    order_id: str
    received_at: datetime
    failures: int = Field(description="How often Temporal refused it. An outage is no refusal.")
    last_error: str | None
    next_try_at: datetime | None = Field(description="Null: it is delivered with the next pass.")


class WaitingList(BaseModel):
    """Some of them: the most often refused first, then the oldest."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"callbacks": [_WAITING]}]})

    callbacks: list[WaitingView]


@router.get("/foreign", summary="Signed callbacks about money of no order of ours")
async def foreign_callbacks(parts: WithParts) -> ForeignList:
    """Somebody else's money under our account, or ours without an order: look at the gateway."""
    found = await parts.records.foreign_callbacks(SHOWN)
    return ForeignList(callbacks=[_foreign_view(callback) for callback in found])


@router.get("/waiting", summary="Callbacks that are not delivered yet")
async def waiting_callbacks(parts: WithParts) -> WaitingList:
    """Empty within seconds, unless Temporal or the worker is away. What is refused again and again
    is a defect: the order's payment is looked up all the same."""
    found = await parts.records.waiting_callbacks(SHOWN)
    return WaitingList(callbacks=[_waiting_view(callback) for callback in found])


def _foreign_view(callback: ForeignCallback) -> ForeignView:
    event = callback.event
    told = event.payment or event.refund or event.dispute
    return ForeignView(
        event_id=event.event_id,
        type=event.type,
        received_at=callback.received_at,
        order_id=event.order_id,
        transaction_id=event.transaction_id,
        amount=f"{told.amount.to_decimal():f}" if told is not None else None,
        currency=told.amount.currency if told is not None else None,
    )


def _waiting_view(callback: WaitingCallback) -> WaitingView:
    return WaitingView(
        event_id=callback.event_id,
        type=callback.type,
        order_id=callback.order_id,
        received_at=callback.received_at,
        failures=callback.failures,
        last_error=callback.last_error,
        next_try_at=callback.next_try_at,
    )
