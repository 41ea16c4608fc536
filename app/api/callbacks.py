"""The gateway's door: verify, store, answer. Delivery to the workflow comes after the answer."""

from collections.abc import Iterator
from dataclasses import replace

import structlog
from fastapi import APIRouter, Request
from starlette.datastructures import Headers

from app.api.access import WithParts
from app.api.deliverers import WithDeliverers, counted
from app.api.problems import Kind, ProblemError, documented
from app.api.schemas import Received
from app.api.trace import WithTrace
from app.domain.card_numbers import holds_card_number
from app.domain.gateway import GatewayEvent, GatewayPayment, InvalidCallbackError
from app.domain.order import ORDER_ID
from app.gateways.generic import GenericCallback
from app.wiring import Parts

router = APIRouter(prefix="/api", tags=["callbacks"])
_log = structlog.get_logger()
_SIGNING = ("stripe-signature", "webhook-id", "webhook-timestamp", "webhook-signature")


@router.post(
    "/payment/callback",
    summary="The gateway reports what happened",
    responses=documented(Kind.INVALID_CALLBACK, Kind.CONTENT_TOO_LARGE, Kind.UNAVAILABLE),
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
async def callback(
    request: Request, parts: WithParts, deliverers: WithDeliverers, trace: WithTrace
) -> Received:
    """200 once it is stored for good. A signed event about money of no order of ours is kept for
    the operator; one that is about no money at all is answered 200 and counted."""
    body = await request.body()
    try:
        event = _read(parts, request.headers, body)
    except InvalidCallbackError as error:
        raise _refused(str(error)) from None
    except RecursionError:
        raise _refused("the callback is nested too deeply") from None
    if any(holds_card_number(name) for name in _given_by_the_gateway(event)):
        raise _refused("the gateway gives nothing a name that looks like a card number")
    event = _fit_to_look_for(event)
    trace.who, trace.object = event.gateway, event.order_id
    taken = await parts.records.take_callback(event)
    if taken.order_id is None:
        if event.gateway != parts.gateway.name:
            raise _refused("no such order was started here")
        await _keep_foreign(parts, event)
    elif taken.new:
        counted.labels("stored").inc()
        deliverers.wake(taken.order_id)
    else:
        counted.labels("repeated").inc()
    return Received()


def _read(parts: Parts, headers: Headers, body: bytes) -> GatewayEvent:
    names = [name for name in headers.keys() if name in _SIGNING]  # noqa: SIM118 - each, not each name
    if len(set(names)) < len(names):
        raise InvalidCallbackError("a header of the signature is there twice")
    match names:
        case []:
            raise InvalidCallbackError("the callback is not signed")
        case ["stripe-signature"]:
            return parts.gateway.read_callback(headers, body)
        case _ if "stripe-signature" not in names:
            return parts.generic_callbacks.read(headers, body)
        case _:
            raise InvalidCallbackError("the callback is signed in both forms")


def _given_by_the_gateway(event: GatewayEvent) -> Iterator[str]:
    """Its names for what the event is about."""
    yield from (event.event_id, event.type, event.transaction_id or "")
    if event.refund is not None:
        yield event.refund.refund_id
    if event.dispute is not None:
        yield event.dispute.dispute_id


def _fit_to_look_for(event: GatewayEvent) -> GatewayEvent:
    """Without names that are none of ours: anything may stand there, a card number too."""
    if not _is_ours(event.order_id):
        event = replace(event, order_id=None)
    if event.payment is not None and not _is_ours(event.payment.order_id):
        event = replace(event, payment=replace(event.payment, order_id=None))
    if event.refund is not None and holds_card_number(event.refund.name or ""):
        event = replace(event, refund=replace(event.refund, name=None))
    return event


def _is_ours(order_id: str | None) -> bool:
    named = order_id or ""
    return ORDER_ID.fullmatch(named) is not None and not holds_card_number(named)


async def _keep_foreign(parts: Parts, event: GatewayEvent) -> None:
    if event.order_id is None and event.transaction_id is None:
        # Stripe also reports what Tillflow has no use for.
        counted.labels("not used").inc()
        _log.info("callback not used", event_id=event.event_id, type=event.type)
        return
    kept = _fit_to_keep(event)
    new = await parts.records.keep_foreign_callback(kept)
    counted.labels("foreign" if new else "repeated").inc()
    _log.warning(
        "callback foreign",
        event_id=kept.event_id,
        type=kept.type,
        order_id=kept.order_id,
        transaction_id=kept.transaction_id,
    )


def _fit_to_keep(event: GatewayEvent) -> GatewayEvent:
    """Without names that somebody else gave, and with nothing of how another program's shopper
    pays."""
    return replace(
        event,
        payment=_figures(event.payment) if event.payment is not None else None,
        refund=replace(event.refund, name=None) if event.refund is not None else None,
    )


def _figures(seen: GatewayPayment) -> GatewayPayment:
    return GatewayPayment(
        seen.transaction_id, None, seen.status, seen.amount, seen.authorized, seen.captured
    )


def _refused(reason: str) -> ProblemError:
    counted.labels("refused").inc()
    _log.warning("callback refused", reason=reason)
    return ProblemError(Kind.INVALID_CALLBACK, f"{reason}. Nothing was stored.")
