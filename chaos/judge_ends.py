"""4, 5 and 6: every payment ended, every callback was applied once, no workflow is stuck."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from temporalio.client import WorkflowExecutionStatus

from app.activities.failures import Failure
from app.domain.facts import Event, Fact
from app.domain.payment import OrderState, State
from app.temporal import names
from chaos.judge_gateway import Gateway, Told
from chaos.judge_records import Order, Records
from chaos.judge_verdict import Invariant
from chaos.judge_workflows import Run

_ENDS = {
    OrderState.FULFILLED: frozenset(
        {State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED, State.CHARGED_BACK}
    ),
    OrderState.CANCELED: frozenset(
        {
            State.EXPIRED,
            State.DECLINED,
            State.FAILED,
            State.VOIDED,
            State.REFUNDED,
            State.CHARGED_BACK,
        }
    ),
}
_CALLED_OFF = frozenset({Event.CANCEL_REQUESTED, Event.STEP_REFUSED, Event.EXPIRED})
_SCHEDULED_RUN = timedelta(minutes=2)
_REFUNDS = frozenset({Event.REFUND_PENDING, Event.REFUNDED, Event.REFUND_FAILED})
_DISPUTES = frozenset({Event.DISPUTED, Event.DISPUTE_WON, Event.DISPUTE_LOST})
# Which facts an event's news ends up in, by its type or by what it says its object had become. A
# hold that was let go before it was heard of needs no more than that.
_NEWS = {
    "payment_intent.amount_capturable_updated": frozenset({Event.AUTHORIZED, Event.VOIDED}),
    "payment_intent.succeeded": frozenset({Event.CAPTURED}),
    "refund.failed": frozenset({Event.REFUND_FAILED}),
    "charge.dispute.won": frozenset({Event.DISPUTE_WON}),
    "charge.dispute.lost": frozenset({Event.DISPUTE_LOST}),
}
_ONCE = frozenset(
    {
        Event.CAPTURED,
        Event.REFUNDED,
        Event.REFUND_FAILED,
        Event.DISPUTE_WON,
        Event.DISPUTE_LOST,
        Event.FEE_CHARGED,
    }
)


def every_payment_ended(gateway: Gateway, records: Records, left_open: frozenset[str]) -> Invariant:
    """`left_open`: the orders that the plan leaves undecided."""
    breaches = []
    states: Counter[str] = Counter()
    for order in records.orders.values():
        states[order.state or "missing"] += 1
        if (check := records.next_check.get(order.order_id)) is not None:
            if check <= datetime.now(UTC):
                breaches.append(f"{order.order_id}: unknown, and its next check was {check}")
            continue
        if order.order_id in left_open:
            continue
        breaches += [f"{order.order_id}: {wrong}" for wrong in _not_ended(order, gateway)]
    figures = {"left open by plan": len(left_open), **dict(states.most_common())}
    sentence = "every payment has ended, or is unknown with a next check"
    return Invariant(4, sentence, figures, breaches)


def _not_ended(order: Order, gateway: Gateway) -> list[str]:
    charges = gateway.of(order.order_id)
    held = sum(charge.held for charge in charges)
    wrong = []
    if order.state not in _ENDS.get(OrderState(order.order_state), frozenset()):
        wrong.append(f"{order.order_state}, its payment {order.state}")
    elif order.refunds_pending:
        wrong.append(f"{order.refunds_pending} is on its way back still")
    elif held:
        wrong.append(f"it is over, and the gateway holds {held} still")
    came = any(charge.authorized for charge in charges)
    if order.order_state == OrderState.CANCELED and came and not _is_called_off(order.facts):
        wrong.append("canceled, its money was there, and no fact says why it was called off")
    return wrong


def _is_called_off(facts: list[Fact]) -> bool:
    return any(fact.event in _CALLED_OFF for fact in facts)


def applied_once(gateway: Gateway, records: Records) -> Invariant:
    """What we have told the gateway that we took, is in the inbox and in the facts; and nothing is
    in the inbox that is not the gateway's."""
    breaches = []
    for told in gateway.told:
        order = records.orders.get(told.order_id)
        if order is not None and (wrong := _not_applied(told, order, records)):
            breaches.append(f"{told.order_id}: {told.type} {told.event_id} {wrong}")
    breaches += [
        f"{event_id} is in the inbox, and the gateway never wrote it"
        for event_id in records.callbacks.keys() - gateway.events
    ]
    for order in records.orders.values():
        counted = Counter((f.event, f.reference) for f in order.facts if f.event in _ONCE)
        breaches += [
            f"{order.order_id}: {event} {reference} is counted {times} times"
            for (event, reference), times in counted.items()
            if times > 1
        ]
    outcomes = Counter(callback.outcome or "waiting" for callback in records.callbacks.values())
    figures = {"acknowledged": len(gateway.told)} | {
        f"in the inbox {outcome}": count for outcome, count in outcomes.most_common()
    }
    sentence = "every acknowledged callback is applied exactly once"
    return Invariant(5, sentence, figures, breaches)


def _not_applied(told: Told, order: Order, records: Records) -> str | None:
    kept = records.callbacks.get(told.event_id)
    if kept is None:
        return "was acknowledged and is not in the inbox"
    if kept.delivered_at is None or kept.outcome is None:
        return "was not delivered"
    if kept.order_id != order.order_id:
        return f"was kept as {kept.outcome}"
    if not _is_known(told, order.facts):
        return "was delivered, and its news is in no fact"
    return None


def _is_known(told: Told, facts: list[Fact]) -> bool:
    """Money that the order had no use for leaves no fact but that it was given back. What only
    tells how far an attempt has come may be overtaken before it is read."""
    if any(f.event is Event.FLAGGED and told.transaction_id in (f.reason or "") for f in facts):
        return True
    if told.type.startswith("refund."):
        wanted = _NEWS.get(told.type, _REFUNDS)
        if told.status == "failed":
            wanted = frozenset({Event.REFUND_FAILED})
    elif told.type.startswith("charge.dispute."):
        wanted = _NEWS.get(f"charge.dispute.{told.status}", _DISPUTES)
    elif told.type in _NEWS:
        wanted = _NEWS[told.type]
    else:
        return True
    return any(fact.event in wanted and fact.reference == told.about for fact in facts)


def no_workflow_stuck(
    runs: list[Run], records: Records, left_open: frozenset[str], now: datetime
) -> Invariant:
    """Open may be what the plan leaves open, what has a next check, and a run of a schedule that
    has only just begun."""
    breaches = []
    undecided = left_open | records.next_check.keys()
    statuses: Counter[str] = Counter()
    for run in runs:
        statuses[run.status.name.lower()] += 1
        if wrong := _wrong(run, undecided, now):
            breaches.append(f"{run.workflow_id} ({run.type}): {wrong}")
    figures = {"histories read": len(runs), **dict(statuses.most_common())}
    sentence = "no workflow is stuck, failed or not deterministic"
    return Invariant(6, sentence, figures, breaches)


def refused_refunds(runs: list[Run]) -> frozenset[str]:
    """The names of the refunds that a workflow refused."""
    return frozenset(run.workflow_id.rpartition("-")[2] for run in runs if _is_refusal(run))


def _wrong(run: Run, undecided: frozenset[str], now: datetime) -> str | None:
    if run.problems:
        return "; ".join(run.problems)
    match run.status:
        case WorkflowExecutionStatus.RUNNING:
            return None if _may_be_open(run, undecided, now) else "open, and nothing is left to do"
        case WorkflowExecutionStatus.COMPLETED | WorkflowExecutionStatus.CONTINUED_AS_NEW:
            return None
        case _ if _is_refusal(run):
            return None
        case _:
            return f"{run.status.name.lower()}: {run.failure}"


def _may_be_open(run: Run, undecided: frozenset[str], now: datetime) -> bool:
    if run.scheduled:
        return now - run.started_at < _SCHEDULED_RUN
    return any(
        run.workflow_id == names.payment_workflow_id(order_id)
        or run.workflow_id.startswith(names.refund_workflow_id(order_id, ""))
        or run.workflow_id.startswith(names.dispute_workflow_id(order_id, ""))
        for order_id in undecided
    )


def _is_refusal(run: Run) -> bool:
    return (
        run.type == "RefundWorkflow"
        and run.status is WorkflowExecutionStatus.FAILED
        and run.failure == Failure.REFUSED
    )
