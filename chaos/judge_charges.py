"""1 and 2: nobody is charged twice, and nothing that was promised is missing."""

from collections import defaultdict

from app.domain.facts import Event, Fact
from app.domain.payment import AFTER_CAPTURE, OrderState, State
from chaos.evidence import Acknowledged, Kind
from chaos.judge_gateway import Gateway
from chaos.judge_records import Order, Records
from chaos.judge_verdict import Invariant

_TAKEN = frozenset(AFTER_CAPTURE)
_PAID = frozenset({OrderState.PAID, OrderState.FULFILLED})
_RELEASED = frozenset({Event.VOIDED, Event.CANCELED, Event.EXPIRED})


def charged_once(gateway: Gateway, records: Records) -> tuple[Invariant, int]:
    """The invariant, and how many orders were charged twice."""
    twice: dict[str, str] = {}
    for order_id, charges in gateway.charges.items():
        if not order_id:
            continue
        times = gateway.captures.get(order_id, 0)
        in_use = [charge for charge in charges if charge.held or charge.net]
        order = records.orders.get(order_id)
        taken = max(charge.captured for charge in charges)
        if times > 1:
            twice[order_id] = f"{order_id}: captured {times} times"
        elif len(in_use) > 1:
            twice[order_id] = f"{order_id}: {len(in_use)} payments hold or took money"
        elif order is not None and taken > order.amount:
            twice[order_id] = f"{order_id}: {taken} captured of {order.amount}"
    figures = {
        "orders at the gateway": len(gateway.charges),
        "captures": sum(gateway.captures.values()),
    }
    sentence = "no order is captured twice, nor held twice, nor for more than its amount"
    return Invariant(1, sentence, figures, list(twice.values())), len(twice)


def nothing_lost(
    acknowledged: list[Acknowledged],
    gateway: Gateway,
    records: Records,
    refused_refunds: frozenset[str],
) -> tuple[Invariant, int]:
    """The invariant, and how many orders lost something. `refused_refunds` are the names of those
    that a workflow refused: an answer that a refund is under way promises no more than that."""
    missing: dict[str, list[str]] = defaultdict(list)
    refunds: dict[str, dict[str, Acknowledged]] = defaultdict(dict)
    for each in acknowledged:
        order = records.orders.get(each.order_id)
        if order is None:
            missing[each.order_id].append(
                f"{each.kind} was answered {each.status_code}, but there is no such order"
            )
        elif each.kind is Kind.REFUND:
            missing.setdefault(each.order_id, [])
            refunds[each.order_id][each.answer["refund_id"]] = each
        else:
            missing[each.order_id] += _missing(each, order, gateway)
    for order_id in missing.keys() & records.orders.keys():
        asked, order = refunds[order_id], records.orders[order_id]
        missing[order_id] += _missing_refunds(asked, order, gateway, refused_refunds)
        missing[order_id] += _unasked_refunds(asked, order)
    breaches = [
        f"{name}: {what}" for name, found in missing.items() for what in dict.fromkeys(found)
    ]
    figures = {"answers of 2xx": len(acknowledged), "orders they are about": len(missing)}
    sentence = "no acknowledged payment is missing: its order, its facts, its effect at the gateway"
    return Invariant(2, sentence, figures, breaches), sum(bool(found) for found in missing.values())


def _missing(each: Acknowledged, order: Order, gateway: Gateway) -> list[str]:
    match each.kind:
        case Kind.INITIATE:
            return _missing_payment(each, order, gateway)
        case Kind.CAPTURE:
            return _missing_capture(each, order, gateway)
        case _:
            return _missing_cancellation(each, order, gateway)


def _missing_payment(each: Acknowledged, order: Order, gateway: Gateway) -> list[str]:
    found = []
    charges = gateway.of(order.order_id)
    answer = each.answer
    if (order.amount, order.currency) != (each.amount_minor, each.currency):
        found.append(
            f"{each.amount_minor} {each.currency} was asked for, {order.amount} {order.currency} is"
            " in the records"
        )
    if not any(fact.attempt for fact in order.facts):
        found.append("no attempt was made")
    named = answer.get("transaction_id")
    if named is not None and named not in {charge.transaction_id for charge in charges}:
        found.append(f"the gateway does not know its payment {named}")
    elif answer["status"] in _TAKEN or answer["order_status"] in _PAID:
        if not any(charge.captured for charge in charges):
            found.append(f"it was called {answer['status']}, and nothing was captured")
    elif answer["status"] == State.AUTHORIZED:
        if not any(charge.authorized for charge in charges):
            found.append("it was called authorized, and nothing was held")
        elif not any(charge.captured or charge.held for charge in charges) and not _told(
            order.facts, _RELEASED
        ):
            found.append("what was held for it is gone, and no fact says why")
    return found


def _missing_capture(each: Acknowledged, order: Order, gateway: Gateway) -> list[str]:
    taken = [charge.captured for charge in gateway.of(order.order_id) if charge.captured]
    if each.amount_minor in taken:
        return []
    # An answer of 202 says that it is under way: the hold may have ended first.
    if each.status_code == 202 and not taken and _told(order.facts, _RELEASED):
        return []
    return [f"a capture of {each.amount_minor} was acknowledged, {sum(taken)} was captured"]


def _missing_cancellation(each: Acknowledged, order: Order, gateway: Gateway) -> list[str]:
    charges = gateway.of(order.order_id)
    found = []
    if order.order_state != OrderState.CANCELED:
        found.append(f"a cancellation was acknowledged, and the order is {order.order_state}")
    kept = sum(charge.held + charge.net for charge in charges)
    if kept:
        found.append(f"a cancellation was acknowledged, and {kept} is not given back")
    return found


def _missing_refunds(
    asked: dict[str, Acknowledged], order: Order, gateway: Gateway, refused: frozenset[str]
) -> list[str]:
    found, promised = [], 0
    failed = {f.refund for f in order.facts if f.event is Event.REFUND_FAILED}
    noted = {fact.refund for fact in order.facts}
    for name, each in asked.items():
        if name in noted:
            promised += 0 if name in failed else each.amount_minor
        elif each.status_code != 202 or name not in refused:
            found.append(f"refund {name} was acknowledged and is not in the records")
    refunded = sum(charge.refunded for charge in gateway.of(order.order_id))
    if refunded < promised:
        found.append(f"refunds of {promised} were acknowledged, {refunded} was refunded")
    return found


def _unasked_refunds(asked: dict[str, Acknowledged], order: Order) -> list[str]:
    """A sale that was made is not given back unless the storefront wants it."""
    if order.order_state != OrderState.FULFILLED:
        return []
    begun = [f.refund for f in order.facts if f.event is Event.REFUND_PENDING and _is_ours(f)]
    return [
        f"refund {name} was made, and nobody asked for it" for name in begun if name not in asked
    ]


def _is_ours(fact: Fact) -> bool:
    """A refund that was begun at the gateway goes by the gateway's name."""
    return fact.refund is not None and fact.refund != fact.reference


def _told(facts: list[Fact], events: frozenset[Event]) -> bool:
    return any(fact.event in events for fact in facts)
