"""3 and 8: our figures are the gateway's, and our ledger is balanced."""

from collections import defaultdict

from app.domain.ledger import Account, difference, positions
from chaos.judge_gateway import Gateway
from chaos.judge_records import Order, Records
from chaos.judge_verdict import Invariant

# What these say together is what was taken and is still there, credit being negative.
_KEPT = (Account.SALES, Account.REFUNDS, Account.DISPUTES)


def figures_agree(gateway: Gateway, records: Records) -> tuple[Invariant, dict[str, int]]:
    """The invariant, and by currency how far we are from the gateway, summed over the orders."""
    breaches = []
    distance: dict[str, int] = defaultdict(int)
    there_in_all: dict[str, int] = defaultdict(int)
    for order_id in gateway.charges.keys() | records.orders.keys():
        order = records.orders.get(order_id)
        there: dict[str, int] = defaultdict(int)
        for charge in gateway.of(order_id):
            there[charge.currency] += charge.net
        for currency in there.keys() | ({order.currency} if order is not None else set()):
            told = _told(order, currency)
            off = max(abs(there[currency] - ours) for ours in told.values())
            there_in_all[currency] += there[currency]
            distance[currency] += off
            if off:
                words = ", ".join(f"{ours} by {whose}" for whose, ours in told.items())
                name = order_id or "a payment of no order"
                breaches.append(f"{name}: {there[currency]} {currency} is at the gateway, {words}")
    figures = {f"{currency} at the gateway": there_in_all[currency] for currency in there_in_all}
    figures |= {f"{currency} off": distance[currency] for currency in there_in_all}
    sentence = "captured - refunded - disputed at the gateway is what our ledger and rows say"
    return Invariant(3, sentence, figures, breaches), dict(distance)


def _told(order: Order | None, currency: str) -> dict[str, int]:
    """What we say is still ours of an order's money, by each that says it."""
    if order is None or currency != order.currency:
        return {"our records": 0}
    return {
        "our facts": order.folded.left,
        "our payments": order.net or 0,
        "our ledger": -sum(order.balances.get((account, currency), 0) for account in _KEPT),
    }


def ledger_is_balanced(records: Records) -> Invariant:
    """To zero for each order and payout, and so in all; and each order's is what its facts post."""
    breaches = [
        f"{each.name}: its postings sum to {each.amount} {each.currency}"
        for each in records.unbalanced
    ]
    for order in records.orders.values():
        off = difference(positions(order.folded), order.balances)
        breaches += [
            f"{order.order_id}: {account} is {order.balances.get((account, currency), 0)} "
            f"{currency} in the ledger, and {lacking:+} by its facts"
            for (account, currency), lacking in off.items()
        ]
    figures = {f"{currency} postings": rows for currency, rows, _ in records.totals}
    figures |= {f"{currency} sum": amount for currency, _, amount in records.totals}
    sentence = "the ledger sums to zero, and each order's part of it is what its facts post"
    return Invariant(8, sentence, figures, breaches)
