"""The gateway's door: verify, store, answer. Delivery to the workflow comes after the answer."""

import structlog
from fastapi import APIRouter, BackgroundTasks, Request
from prometheus_client import Counter

from app.api.access import WithParts
from app.api.problems import Kind, ProblemError, documented
from app.api.schemas import ORDER_ID, Received
from app.domain.gateway import GatewayEvent, InvalidCallbackError
from app.gateways.generic import GenericCallback
from app.wiring import Parts

router = APIRouter(prefix="/api/payment", tags=["callbacks"])
_log = structlog.get_logger()
_counted = Counter("tillflow_callbacks", "Callbacks by what became of them.", ["outcome"])


@router.post(
    "/callback",
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
    """200 once it is stored for good. A signed event that is about no order, or about none of
    ours, is answered 200 and counted."""
    body = await request.body()
    try:
        event = _read(parts, dict(request.headers), body)
    except InvalidCallbackError as error:
        raise _refused(str(error)) from None
    except RecursionError:
        raise _refused("the callback is nested too deeply") from None
    if not await _is_ours(parts, event.order_id):
        if event.gateway != parts.gateway.name:
            raise _refused("no such order was started here")
        # Stripe also reports what Tillflow has no use for, and that names no order.
        outcome = "not used" if event.order_id is None else "not ours"
        _counted.labels(outcome).inc()
        _log.info(f"callback {outcome}", event_id=event.event_id, type=event.type)
        return Received()
    if await parts.records.store_callback(event):
        _counted.labels("stored").inc()
        after.add_task(_deliver, parts, event)
    else:
        _counted.labels("repeated").inc()
    return Received()


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
