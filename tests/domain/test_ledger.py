"""Whatever happened, debits and credits are equal, and what was posted is where the money is."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.facts import Event, Fact
from app.domain.gateway import GatewayMovement, MovementKind
from app.domain.ledger import (
    Account,
    Balances,
    account_postings,
    difference,
    positions,
    postings,
)
from app.domain.payment import apply, fold
from tests.domain.histories import NOON, fact, histories, payment

AUTHORIZED = fact(Event.AUTHORIZED, 1, 1000, "pi_1")
CAPTURED = fact(Event.CAPTURED, 0, 1000, "pi_1")
FEE = fact(Event.FEE_CHARGED, amount=59, reference="txn_1")


def _journal(history: list[Fact]) -> list[Balances]:
    """What each fact posts."""
    told = [payment()]
    for each in history:
        told.append(apply(told[-1], each))
    return [postings(before, after) for before, after in pairwise(told)]


def _added(entries: list[Balances]) -> Balances:
    sums: Counter[tuple[Account, str]] = Counter()
    for entry in entries:
        sums.update(entry)
    return {place: amount for place, amount in sums.items() if amount}


def _sums(balances: Balances) -> set[int]:
    """The sum of every currency."""
    sums: Counter[str] = Counter()
    for (_, currency), amount in balances.items():
        sums[currency] += amount
    return set(sums.values())


def _usd(history: list[Fact]) -> dict[str, int]:
    """Where the money is after `history`."""
    return {
        str(account): amount
        for (account, currency), amount in positions(fold(payment(), history)).items()
        if currency == "usd"
    }


@given(histories)
def test_every_entry_sums_to_zero_in_every_currency(history: list[Fact]) -> None:
    for entry in _journal(history):
        assert _sums(entry) <= {0}


@given(histories)
def test_the_journal_adds_up_to_what_the_facts_say(history: list[Fact]) -> None:
    entries = _journal(history)
    for number in range(len(history)):
        told = fold(payment(), history[: number + 1])
        assert _added(entries[: number + 1]) == positions(told)


@given(histories, st.data())
def test_neither_order_nor_repetition_of_the_facts_matters(
    history: list[Fact], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(history))) if history else []
    shuffled = data.draw(st.permutations(history + repeated))
    assert _added(_journal(shuffled)) == _added(_journal(history))


@given(histories)
def test_the_balances_agree_with_the_totals_as_long_as_no_more_went_back_than_was_taken(
    history: list[Fact],
) -> None:
    told = fold(payment(), history)
    there = positions(told)
    in_usd = {account: there.get((account, "usd"), 0) for account in Account}
    fees = sum(fee.minor for fee in told.fees.values() if fee.currency == "usd")
    assert in_usd[Account.SALES] == -told.captured
    if not any("more went back" in worry for worry in told.attention | told.acknowledged):
        assert in_usd[Account.REFUNDS] == told.refunded + told.refunds_pending
        assert in_usd[Account.REFUNDS_IN_TRANSIT] == -told.refunds_pending
        assert in_usd[Account.DISPUTES] == told.disputed
        ours = in_usd[Account.GATEWAY_BALANCE] + in_usd[Account.REFUNDS_IN_TRANSIT]
        assert ours == told.left - fees


def test_a_hold_is_no_money_of_ours_until_it_is_captured() -> None:
    assert _usd([AUTHORIZED]) == {"holds": 1000, "authorizations": -1000}
    assert _usd([AUTHORIZED, replace(CAPTURED, amount=700)]) == {
        "gateway_balance": 700,
        "sales": -700,
    }
    assert _usd([AUTHORIZED, fact(Event.VOIDED, reference="pi_1")]) == {}


def test_a_fee_leaves_the_gateways_balance_in_its_own_currency() -> None:
    assert _usd([CAPTURED, FEE]) == {"gateway_balance": 941, "sales": -1000, "fees": 59}
    in_eur = positions(fold(payment(), [CAPTURED, replace(FEE, currency="eur")]))
    assert in_eur[Account.FEES, "eur"] == 59
    assert in_eur[Account.GATEWAY_BALANCE, "eur"] == -59
    assert in_eur[Account.GATEWAY_BALANCE, "usd"] == 1000


def test_a_refund_is_in_transit_until_it_arrives_or_comes_back() -> None:
    pending = [CAPTURED, fact(Event.REFUND_PENDING, amount=400, refund="ref_1")]
    taken = {"gateway_balance": 1000, "sales": -1000}
    assert _usd(pending) == {**taken, "refunds": 400, "refunds_in_transit": -400}
    done = fact(Event.REFUNDED, amount=400, refund="ref_1", reference="re_1")
    assert _usd([*pending, done]) == {**taken, "gateway_balance": 600, "refunds": 400}
    failed = replace(done, event=Event.REFUND_FAILED)
    assert _usd([*pending, done, failed]) == taken


def test_disputed_money_comes_back_when_the_dispute_is_won_and_never_when_it_is_lost() -> None:
    disputed = fact(Event.DISPUTED, amount=1000, reference="dp_1")
    gone = {"sales": -1000, "disputes": 1000}
    assert _usd([CAPTURED, disputed]) == gone
    assert _usd([CAPTURED, disputed, replace(disputed, event=Event.DISPUTE_LOST)]) == gone
    won = replace(disputed, event=Event.DISPUTE_WON)
    assert _usd([CAPTURED, disputed, won]) == {"gateway_balance": 1000, "sales": -1000}


def test_what_went_back_too_much_is_missing_from_the_gateways_balance() -> None:
    refunded = [
        fact(Event.REFUNDED, amount=800, refund=name, reference=name) for name in ("re_1", "re_2")
    ]
    assert _usd([CAPTURED, *refunded]) == {
        "gateway_balance": -600,
        "sales": -1000,
        "refunds": 1600,
    }


def _moved(kind: MovementKind, amount: int, fee: int = 0) -> GatewayMovement:
    return GatewayMovement("txn_9", kind, amount, fee, "usd", NOON)


def test_a_payout_goes_to_the_bank_and_comes_back_where_the_bank_did_not_take_it() -> None:
    sent = account_postings(_moved(MovementKind.PAYOUT, -900, fee=15))
    assert sent == {
        (Account.BANK, "usd"): 900,
        (Account.FEES, "usd"): 15,
        (Account.GATEWAY_BALANCE, "usd"): -915,
    }
    back = account_postings(_moved(MovementKind.PAYOUT, 900))
    assert difference(sent, back) == {
        (Account.BANK, "usd"): 1800,
        (Account.FEES, "usd"): 15,
        (Account.GATEWAY_BALANCE, "usd"): -1815,
    }


@pytest.mark.parametrize(
    ("kind", "account"),
    [(MovementKind.FEE, Account.FEES), (MovementKind.OTHER, Account.ADJUSTMENTS)],
)
def test_what_else_moves_the_gateways_balance_has_an_account(
    kind: MovementKind, account: Account
) -> None:
    assert account_postings(_moved(kind, -200)) == {
        (account, "usd"): 200,
        (Account.GATEWAY_BALANCE, "usd"): -200,
    }


@pytest.mark.parametrize("kind", [MovementKind.CHARGE, MovementKind.REFUND, MovementKind.DISPUTE])
def test_of_an_orders_movement_only_a_fee_that_came_back_is_not_in_its_facts(
    kind: MovementKind,
) -> None:
    assert account_postings(_moved(kind, 900, fee=30)) == {}
    assert account_postings(_moved(kind, -900, fee=-30)) == {
        (Account.FEES, "usd"): -30,
        (Account.GATEWAY_BALANCE, "usd"): 30,
    }
