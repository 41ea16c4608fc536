"""The gateway's door: verify, store, answer. Delivery to the workflow comes after the answer."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from fastapi import APIRouter, BackgroundTasks, Depends, Request
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field

from app.api.access import WithParts, require_key
from app.api.card_numbers import holds_card_number
from app.api.problems import Kind, ProblemError, documented
from app.api.schemas import ORDER_ID, Received
from app.domain.gateway import GatewayEvent, GatewayPayment, InvalidCallbackError
from app.domain.records import ForeignCallback
from app.gateways.generic import GenericCallback
from app.wiring import Parts

FOREIGN_SHOWN = 100

router = APIRouter(prefix="/api", tags=["callbacks"])
_log = structlog.get_logger()
_counted = Counter("tillflow_callbacks", "Callbacks by what became of them.", ["outcome"])


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


@router.post(
    "/payment/callback",
    summary="The gateway reports what happened",
    responses=documented(Kind.INVALID_CALLBACK, Kind.UNAVAILABLE),
    openapi_extra={
        "requestBody": {
            "description": "A Stripe event signed by `Stripe-Signature`, or the generic form "
            "signed by the Standard Webhooks headers.",
            "required": True,
            "content": {
                "application/json": {
                    "schema": GenericCallback.model_json_schema(),
                }
            },
        }
    },
)
async def callback(request: Request, parts: WithParts, after: BackgroundTasks) -> Received:
    """200 once it is stored for good. A signed event about money of no order of ours is kept for
    the operator; one that is about no money at all is answered 200 and counted."""
    body = await request.body()
    try:
        event = _read(parts, dict(request.headers), body)
    except InvalidCallbackError as error:
        raise _refused(str(error)) from None
    except RecursionError:
        raise _refused("the callback is nested too deeply") from None
    event = await _with_order(parts, event)
    if not await _is_ours(parts, event.order_id):
        if event.gateway != parts.gateway.name:
            raise _refused("no such order was started here")
        await _keep_foreign(parts, event)
        return Received()
    if await parts.records.store_callback(event):
        _counted.labels("stored").inc()
        after.add_task(_deliver, parts, event)
    else:
        _counted.labels("repeated").inc()
    return Received()


@router.get(
    "/callbacks/foreign",
    summary="For operators: signed callbacks about money of no order of ours",
    dependencies=[Depends(require_key)],
    responses=documented(Kind.UNAUTHORIZED, Kind.UNAVAILABLE),
)
async def foreign_callbacks(parts: WithParts) -> ForeignList:
    """Somebody else's money under our account, or ours without an order: look at the gateway."""
    found = await parts.records.foreign_callbacks(FOREIGN_SHOWN)
    return ForeignList(callbacks=[_foreign_view(callback) for callback in found])


def _read(parts: Parts, headers: dict[str, str], body: bytes) -> GatewayEvent:
    if "stripe-signature" in headers:
        return parts.gateway.read_callback(headers, body)
    if "webhook-signature" in headers:
        return parts.generic_callbacks.read(headers, body)
    raise InvalidCallbackError("the callback is not signed")


async def _is_ours(parts: Parts, order_id: str | None) -> bool:
    if order_id is None or ORDER_ID.fullmatch(order_id) is None:
        return False  # no order of ours can have that name
    return await parts.records.find_order(order_id) is not None


async def _with_order(parts: Parts, event: GatewayEvent) -> GatewayEvent:
    """What is begun at the gateway itself names its payment, and whatever somebody typed there."""
    if event.payment is not None or event.transaction_id is None:
        return event
    paid = await parts.records.find_order_paid_by(event.transaction_id)
    return replace(event, order_id=paid or event.order_id)


async def _keep_foreign(parts: Parts, event: GatewayEvent) -> None:
    if event.order_id is None and event.transaction_id is None:
        # Stripe also reports what Tillflow has no use for.
        _counted.labels("not used").inc()
        _log.info("callback not used", event_id=event.event_id, type=event.type)
        return
    kept = _fit_to_keep(event)
    new = await parts.records.store_callback(kept, foreign=True)
    _counted.labels("foreign" if new else "repeated").inc()
    _log.warning(
        "callback foreign",
        event_id=kept.event_id,
        type=kept.type,
        order_id=kept.order_id,
        transaction_id=kept.transaction_id,
    )


def _fit_to_keep(event: GatewayEvent) -> GatewayEvent:
    """Without names that somebody else gave and that may be anything, a card number too; and with
    nothing of how another program's shopper pays."""
    named = event.order_id or ""
    fit = ORDER_ID.fullmatch(named) is not None and not holds_card_number(named)
    return replace(
        event,
        order_id=named if fit else None,
        payment=_figures(event.payment) if event.payment is not None else None,
        refund=replace(event.refund, name=None) if event.refund is not None else None,
    )


def _figures(seen: GatewayPayment) -> GatewayPayment:
    return GatewayPayment(
        seen.transaction_id, None, seen.status, seen.amount, seen.authorized, seen.captured
    )


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


def _refused(reason: str) -> ProblemError:
    _counted.labels("refused").inc()
    _log.warning("callback refused", reason=reason)
    return ProblemError(Kind.INVALID_CALLBACK, f"{reason}. Nothing was stored.")


async def _deliver(parts: Parts, event: GatewayEvent) -> None:
    """Whatever goes wrong here, the inbox keeps the callback and the schedule delivers it."""
    try:
        await parts.delivery.deliver(event)
    except Exception as error:
        _counted.labels("delayed").inc()
        _log.warning("callback delayed", event_id=event.event_id, error=type(error).__name__)
