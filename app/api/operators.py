"""The operator's door: deciding what the gateway does not tell, and what was looked at."""

from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import APIRouter

from app.api.access import WithClient, WithParts
from app.api.body import ExactRoute
from app.api.checkout import Answer, Checkout
from app.api.orders import OrderIdPath, find_payment
from app.api.problems import FieldError, Kind, ProblemError, documented, invalid
from app.api.schemas import AcknowledgeRequest, PaymentStatus, ResolveRequest
from app.api.trace import WithTrace
from app.api.views import payment_status
from app.domain.api_keys import Client
from app.domain.facts import Event, Fact, Source
from app.domain.payment import Payment
from app.domain.unknown import Operation, UnknownOutcome
from app.wiring import Parts
from app.workflows.messages import ResolveInput

router = APIRouter(
    prefix="/api/payment",
    tags=["operators"],
    route_class=ExactRoute,
)


@router.post(
    "/{order_id}/resolve",
    summary="Decide about an outcome that the gateway does not tell",
    responses=documented(
        Kind.INVALID_REQUEST,
        Kind.NOT_FOUND,
        Kind.NOTHING_UNKNOWN,
    ),
)
async def resolve(
    order_id: OrderIdPath,
    body: ResolveRequest,
    parts: WithParts,
    client: WithClient,
    trace: WithTrace,
) -> PaymentStatus:
    """The gateway is asked first: what it tells stands, whatever was decided. Recorded with who
    decided and `reason`."""
    actor = trace.who = _actor(body.actor, client)
    payment = await find_payment(parts, order_id)
    meant = _meant(await parts.records.unknown_outcomes(order_id), body)
    decision = ResolveInput(body.outcome, actor, body.reason, body.transaction_id)
    answer = await Checkout(parts).resolve(
        order_id, decision, meant, known_facts=len(await parts.records.facts(order_id))
    )
    if answer is not Answer.TAKEN_ON:
        raise _nothing_unknown(payment)
    return await _as_it_is(parts, order_id)


@router.post(
    "/{order_id}/acknowledge",
    summary="Note that somebody has looked at what needs attention",
    responses=documented(Kind.INVALID_REQUEST, Kind.NOT_FOUND),
)
async def acknowledge(
    order_id: OrderIdPath,
    body: AcknowledgeRequest,
    parts: WithParts,
    client: WithClient,
    trace: WithTrace,
) -> PaymentStatus:
    """What `needs_attention` shows, or those of it that `worries` names. Whatever comes later needs
    attention again. Safe to repeat; works after the order's end, too."""
    actor = trace.who = _actor(body.actor, client)
    payment = await find_payment(parts, order_id)
    named = body.worries if body.worries is not None else payment.attention
    if not payment.attention.union(payment.acknowledged).issuperset(named):
        message = "not all of these stand in needs_attention"
        raise invalid(FieldError(location="worries", message=message))
    worries = tuple(sorted(payment.attention.intersection(named)))
    if worries:
        looked_at = Fact(
            Event.ACKNOWLEDGED,
            datetime.now(UTC),
            Source.OPERATOR,
            reason=body.reason,
            actor=actor,
            acknowledged=worries,
        )
        await parts.records.append(order_id, [looked_at])
    facts = await parts.records.facts(order_id)
    known = [fact for fact in facts if fact.event is Event.ACKNOWLEDGED]
    if known:  # told again to be safe: a workflow that is running may have missed an earlier time
        await Checkout(parts).tell(order_id, known)
    return await _as_it_is(parts, order_id)


def _actor(named: str | None, client: Client) -> str:
    """Whose key it is, which is certain, behind whom the client names."""
    return f"{named} ({client.name})" if named is not None else client.name


def _meant(unknown: Sequence[UnknownOutcome], body: ResolveRequest) -> str | None:
    """Our name of the refund that is decided about; None where it is the payment itself."""
    if body.refund_id is not None:
        return body.refund_id
    refunds = [one.refund for one in unknown if one.operation is Operation.REFUND]
    if not refunds or len(refunds) < len(unknown):
        return None
    if len(refunds) > 1:
        message = "more than one refund is unknown: name one"
        raise invalid(FieldError(location="refund_id", message=message))
    if body.transaction_id is not None:
        message = "a refund is found by its own name: leave this out"
        raise invalid(FieldError(location="transaction_id", message=message))
    return refunds[0]


def _nothing_unknown(payment: Payment) -> ProblemError:
    return ProblemError(
        Kind.NOTHING_UNKNOWN,
        f"The payment is {payment.state}, and no outcome of that kind waits to be known. Read the "
        "payment: `unknown` lists what does. Nothing was done.",
        extra={"links": {"payment": f"/api/payment/{payment.order_id}"}},
    )


async def _as_it_is(parts: Parts, order_id: str) -> PaymentStatus:
    payment = await find_payment(parts, order_id)
    facts = await parts.records.facts(order_id)
    return payment_status(payment, facts, await parts.records.unknown_outcomes(order_id))
