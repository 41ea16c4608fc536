"""7: what was set aside, shipped and mailed is what was paid for."""

from collections import Counter
from collections.abc import Mapping

from app.domain.facts import Event
from app.domain.payment import OrderState
from chaos.judge_gateway import Gateway
from chaos.judge_records import Order, Records, Reservation
from chaos.judge_verdict import Invariant


def goods_agree(gateway: Gateway, records: Records, stock: Mapping[str, int]) -> Invariant:
    """`stock`: how many of each article there were before the first order."""
    breaches = []
    for order in records.orders.values():
        breaches += [f"{order.order_id}: {wrong}" for wrong in _wrong(order, gateway, records)]
    reserved: Counter[str] = Counter()
    for reservation in records.reserved.values():
        reserved[reservation.sku] += reservation.quantity
    for sku, before in stock.items():
        left = records.stock.get(sku)
        if left != before - reserved[sku]:
            breaches.append(f"{sku}: {left} of {before} left, {reserved[sku]} reserved")
    figures = {
        "shipped": len(records.shipped),
        "reservations": len(records.reserved),
        "pieces reserved": reserved.total(),
        "receipts": len(records.receipted),
    }
    sentence = "stock, shipments and receipts agree with the paid orders"
    return Invariant(7, sentence, figures, breaches)


def _wrong(order: Order, gateway: Gateway, records: Records) -> list[str]:
    wrong = []
    name = order.order_id
    shipped, receipted = name in records.shipped, name in records.receipted
    reserved = records.reserved.get(name)
    if shipped and not any(charge.captured for charge in gateway.of(name)):
        wrong.append("shipped, and nothing was captured")
    if order.order_state == OrderState.FULFILLED:
        if not shipped:
            wrong.append("fulfilled, and not shipped")
        if reserved != _wanted(order):
            wrong.append(f"fulfilled, with {reserved} in place of {_wanted(order)}")
        if order.has_address and not receipted and not _went_without(order, "send_receipt"):
            wrong.append("fulfilled, and no receipt was mailed")
    else:
        # Paid is not yet shipped; anything before it must not be.
        if shipped:
            wrong.append(f"shipped, and {order.order_state}")
        if receipted:
            wrong.append(f"a receipt was mailed, and it is {order.order_state}")
        if reserved is not None and order.order_state == OrderState.CANCELED:
            wrong.append(f"canceled, with {reserved} set aside")
    return wrong


def _wanted(order: Order) -> Reservation | None:
    sku = order.metadata.get("sku")
    return Reservation(sku, int(order.metadata.get("quantity", "1"))) if sku is not None else None


def _went_without(order: Order, step: str) -> bool:
    """Whether a step that is not essential was refused."""
    return any(fact.event is Event.STEP_REFUSED and fact.step == step for fact in order.facts)
