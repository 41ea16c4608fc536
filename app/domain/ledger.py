"""The ledger: where the money of a payment is, in double entry.

A debit is positive, a credit negative, and what a fact posts sums to zero in each currency. The
postings are the difference between where the money is after the fact and where it was before, so
they depend on order and repetition no more than the payment itself does.
"""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from app.domain.gateway import GatewayMovement, MovementKind
from app.domain.payment import Payment, State
from app.domain.reversals import RefundState


class Account(StrEnum):
    """Where money is, or what it was for."""

    HOLDS = "holds"  # held for us on shoppers' payment methods
    AUTHORIZATIONS = "authorizations"  # the other side of holds: none of it is ours yet
    GATEWAY_BALANCE = "gateway_balance"  # what the gateway has of ours
    SALES = "sales"  # what shoppers paid
    FEES = "fees"  # what the gateway's work cost
    REFUNDS = "refunds"  # what was given back, or is to be
    REFUNDS_IN_TRANSIT = "refunds_in_transit"  # asked for, and not there yet: no longer ours
    DISPUTES = "disputes"  # what banks have taken back, for now or for good
    BANK = "bank"  # what the gateway paid out to us
    ADJUSTMENTS = "adjustments"  # what the gateway booked for any other reason


ACCOUNT_MOVEMENTS = {
    MovementKind.PAYOUT: Account.BANK,
    MovementKind.FEE: Account.FEES,
    MovementKind.OTHER: Account.ADJUSTMENTS,
}
"""What moves our balance and is of no order, with the account on the other side."""

Balances = Mapping[tuple[Account, str], int]
"""Minor units by account and currency. What is not named is zero."""

_Entry = tuple[Account, Account, int, str]
"""To debit, to credit, how many minor units, of which currency."""


def positions(payment: Payment) -> Balances:
    """Where the money of `payment` is. Its totals never show more gone than was taken; this shows
    what moved, and what went back too much is missing from the gateway's balance."""
    refunds, disputes = payment.refunds.values(), payment.disputes.values()
    held = payment.authorized if payment.state is State.AUTHORIZED else 0
    in_transit = sum(r.amount for r in refunds if r.state is RefundState.PENDING)
    refunded = sum(r.amount for r in refunds if r.state is RefundState.SUCCEEDED)
    disputed = sum(d.amount for d in disputes if d.holds_money)
    currency = payment.amount.currency
    return _balances(
        (Account.HOLDS, Account.AUTHORIZATIONS, held, currency),
        (Account.GATEWAY_BALANCE, Account.SALES, payment.captured, currency),
        (Account.REFUNDS, Account.REFUNDS_IN_TRANSIT, in_transit, currency),
        (Account.REFUNDS, Account.GATEWAY_BALANCE, refunded, currency),
        (Account.DISPUTES, Account.GATEWAY_BALANCE, disputed, currency),
        *(
            (Account.FEES, Account.GATEWAY_BALANCE, fee.minor, fee.currency)
            for fee in payment.fees.values()
        ),
    )


def postings(before: Payment, after: Payment) -> Balances:
    """What brings the ledger from `before` to `after`."""
    return difference(positions(after), positions(before))


def account_postings(movement: GatewayMovement) -> Balances:
    """What a movement posts to no order: all of it where it is the account's own; of an order's
    only a fee that the gateway gave back, of which no fact can tell."""
    side, fee = ACCOUNT_MOVEMENTS.get(movement.kind), movement.fee
    if side is None:
        return _balances((Account.FEES, Account.GATEWAY_BALANCE, min(fee, 0), movement.currency))
    return _balances(
        (side, Account.GATEWAY_BALANCE, -movement.amount, movement.currency),
        (Account.FEES, Account.GATEWAY_BALANCE, fee, movement.currency),
    )


def difference(wanted: Balances, found: Balances) -> Balances:
    """What `found` lacks; empty where they agree."""
    lacking = {place: wanted.get(place, 0) - found.get(place, 0) for place in {**wanted, **found}}
    return {place: amount for place, amount in lacking.items() if amount}


def _balances(*entries: _Entry) -> Balances:
    sums: Counter[tuple[Account, str]] = Counter()
    for debit, credit, amount, currency in entries:
        sums[debit, currency] += amount
        sums[credit, currency] -= amount
    return {place: amount for place, amount in sums.items() if amount}
