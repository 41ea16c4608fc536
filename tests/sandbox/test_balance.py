"""Balance transactions: what each movement of captured money did to the balance."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE
from tests.sandbox.program import Receiver, Sandbox, payment, until


async def _paid(sandbox: Sandbox, order: str, **more: Any) -> Any:
    """A captured payment with its charge and what that did to the balance."""
    return await sandbox.stripe.payment_intents.create_async(
        payment(
            order,
            capture_method="automatic",
            **{"expand": ["latest_charge.balance_transaction"], **more},
        )
    )


async def _transactions(sandbox: Sandbox, **params: Any) -> list[Any]:
    """All that are listed, the oldest first."""
    wanted: Any = {"limit": 100, "expand": ["data.source"], **params}
    return (await sandbox.stripe.balance_transactions.list_async(wanted)).data[::-1]


@pytest.mark.parametrize(
    ("currency", "amount", "fee"),
    [
        ("usd", 1000, 59),
        ("usd", 50, 31),
        ("jpy", 1000, 59),
        ("kwd", 1000, 330),
        ("isk", 1000, 3000),
    ],
)
async def test_a_capture_costs_a_share_and_a_fixed_sum(
    sandbox: Sandbox, order: str, currency: str, amount: int, fee: int
) -> None:
    intent = await _paid(sandbox, order, currency=currency, amount=amount)
    transaction = intent.latest_charge.balance_transaction
    assert (transaction.type, transaction.amount, transaction.currency) == (
        "charge",
        amount,
        currency,
    )
    assert (transaction.fee, transaction.net) == (fee, amount - fee)
    found = await sandbox.stripe.balance_transactions.retrieve_async(transaction.id)
    assert found.source == intent.latest_charge.id


async def test_a_hold_does_nothing_to_the_balance_and_a_part_captured_costs_its_share(
    sandbox: Sandbox, order: str
) -> None:
    intents = sandbox.stripe.payment_intents
    expand: Any = {"expand": ["latest_charge.balance_transaction"]}
    held: Any = await intents.create_async(payment(order, **expand))
    assert held.latest_charge.balance_transaction is None
    part: Any = {"amount_to_capture": 700, **expand}
    taken: Any = await intents.capture_async(held.id, part)
    transaction = taken.latest_charge.balance_transaction
    assert (transaction.amount, transaction.fee, transaction.net) == (700, 50, 650)


async def test_every_movement_is_listed_with_what_it_was_for(
    own_sandbox: Sandbox, receiver: Receiver
) -> None:
    refunds = own_sandbox.stripe.refunds
    paid = await _paid(own_sandbox, "a")
    refund = await refunds.create_async({"payment_intent": paid.id, "amount": 300})
    dispute = await own_sandbox.control("disputes", payment_intent=paid.id)
    won = await own_sandbox.control(f"disputes/{dispute['id']}", verdict="won")
    failing = await _paid(own_sandbox, "b", payment_method="pm_card_refundFail")
    returned = await refunds.create_async({"payment_intent": failing.id})
    await until(lambda: "refund.failed" in receiver.types(failing.id))
    debit = await _paid(
        own_sandbox, "c", payment_method="pm_usBankAccount_success", mandate_data=MANDATE
    )
    await own_sandbox.control("settle", id=debit.id)
    paid_out = await own_sandbox.control("payouts", amount=100)

    listed = await _transactions(own_sandbox)
    told = [(t.type, t.reporting_category, t.amount, t.fee, t.net) for t in listed]
    assert told == [
        ("charge", "charge", 1000, 59, 941),
        ("refund", "refund", -300, 0, -300),
        ("adjustment", "dispute", -700, 1500, -2200),
        ("adjustment", "dispute_reversal", 700, 0, 700),
        ("charge", "charge", 1000, 59, 941),
        ("refund", "refund", -1000, 0, -1000),
        ("refund_failure", "refund_failure", 1000, 0, 1000),
        ("payment", "charge", 1000, 59, 941),
        ("payout", "payout", -100, 0, -100),
    ]
    orders = [paid, paid, paid, paid, failing, failing, failing, debit]
    assert [t.source.payment_intent for t in listed[:-1]] == [each.id for each in orders]
    assert listed[-1].source == paid_out["source"]
    assert refund.balance_transaction == listed[1].id
    assert [each["id"] for each in won["balance_transactions"]] == [listed[2].id, listed[3].id]
    failed: Any = await refunds.retrieve_async(returned.id)
    assert failed.failure_balance_transaction == listed[6].id
    assert [t.id for t in await _transactions(own_sandbox, type="payout")] == [paid_out["id"]]


async def test_no_more_is_paid_out_than_there_is(own_sandbox: Sandbox) -> None:
    nothing = await own_sandbox.http.post("/control/payouts", json={})
    assert nothing.status_code == 422
    await _paid(own_sandbox, "a", currency="eur", amount=2000)
    too_much = await own_sandbox.http.post(
        "/control/payouts", json={"currency": "eur", "amount": 1913}
    )
    assert (too_much.status_code, too_much.json()) == (
        422,
        {"error": "There are 1912 eur to pay out."},
    )
    everything = await own_sandbox.control("payouts", currency="eur")
    assert (everything["amount"], everything["source"][:3]) == (-1912, "po_")
    again = await own_sandbox.http.post("/control/payouts", json={"currency": "eur"})
    assert again.status_code == 422


async def test_a_transaction_that_is_none_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.balance_transactions.retrieve_async("txn_nothing")
    assert refusal.value.http_status == 404
