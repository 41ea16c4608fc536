"""Bank debits: nobody knows for days whether the money comes."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE
from tests.sandbox.program import RETURN_URL, Sandbox, payment

_BEGUN = ["payment_intent.created", "payment_intent.processing", "charge.pending"]
_GOOD = [("pm_sepaDebit_success", "eur"), ("pm_usBankAccount_success", "usd")]


async def _debited(
    sandbox: Sandbox, order: str, method: str, currency: str, **more: Any
) -> stripe.PaymentIntent:
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(
            order,
            method,
            currency=currency,
            capture_method="automatic",
            mandate_data=MANDATE,
            **more,
        )
    )
    assert intent.status == "processing"
    return intent


@pytest.mark.parametrize(("method", "currency"), _GOOD)
async def test_a_debit_is_underway_until_the_bank_answers(
    sandbox: Sandbox, order: str, method: str, currency: str
) -> None:
    intent: Any = await _debited(
        sandbox, order, method, currency, expand=["latest_charge", "payment_method"]
    )
    charge = intent.latest_charge
    assert (charge.status, charge.paid, charge.captured) == ("pending", False, False)
    kind = intent.payment_method.type
    assert charge.payment_method_details.type == kind
    details = charge.payment_method_details[kind]
    assert details.last4 == intent.payment_method[kind].last4
    assert details.mandate.startswith("mandate_")
    assert intent.amount_received == 0
    assert await sandbox.events_of(intent.id) == _BEGUN
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.cancel_async(intent.id)
    assert refusal.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError):
        await sandbox.stripe.refunds.create_async({"charge": charge.id})


@pytest.mark.parametrize(("method", "currency"), _GOOD)
async def test_the_money_comes_after_three_days(
    own_sandbox: Sandbox, method: str, currency: str
) -> None:
    intent = await _debited(own_sandbox, "slow", method, currency)
    await own_sandbox.control("clock", advance_seconds=3 * 86400 - 60)
    waiting = await own_sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert waiting.status == "processing"
    await own_sandbox.control("clock", advance_seconds=61)
    paid: Any = await own_sandbox.stripe.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert (paid.status, paid.amount_received) == ("succeeded", 1000)
    assert (paid.latest_charge.status, paid.latest_charge.captured) == ("succeeded", True)
    assert await own_sandbox.events_of(intent.id) == [
        *_BEGUN,
        "charge.succeeded",
        "payment_intent.succeeded",
    ]
    ledger = (await own_sandbox.ledger("slow"))["payment_intents"][0]
    assert (ledger["authorized"], ledger["captured"]) == (1000, 1000)


@pytest.mark.parametrize(
    ("method", "currency", "reason"),
    [
        ("pm_usBankAccount_insufficientFunds", "usd", "insufficient_funds"),
        ("pm_sepaDebit_failed", "eur", "generic_could_not_process"),
    ],
)
async def test_a_debit_that_bounces_says_why_and_another_method_can_pay(
    sandbox: Sandbox, order: str, method: str, currency: str, reason: str
) -> None:
    intent = await _debited(sandbox, order, method, currency)
    await sandbox.control("settle", id=intent.id)
    failed: Any = await sandbox.stripe.payment_intents.retrieve_async(
        intent.id, {"expand": ["latest_charge"]}
    )
    assert (failed.status, failed.payment_method) == ("requires_payment_method", None)
    error = failed.last_payment_error
    assert (error.code, error.decline_code) == ("payment_intent_payment_attempt_failed", reason)
    assert (error.charge, error.payment_method.id) == (
        failed.latest_charge.id,
        intent.payment_method,
    )
    charge = failed.latest_charge
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, reason)
    assert await sandbox.events_of(intent.id) == [
        *_BEGUN,
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    assert (await sandbox.ledger(order))["payment_intents"][0]["authorized"] == 0
    paid = await sandbox.stripe.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_visa", "return_url": RETURN_URL}
    )
    assert paid.status == "succeeded"


async def test_a_debit_by_number_bounces_like_its_ready_made_id(
    sandbox: Sandbox, order: str
) -> None:
    payer = {"name": "A. Payer", "email": "payer@shop.example"}
    for currency, data in (
        ("eur", {"type": "sepa_debit", "sepa_debit": {"iban": "AT86 1904 3002 3547 3202"}}),
        (
            "usd",
            {
                "type": "us_bank_account",
                "us_bank_account": {
                    "routing_number": "110000000",
                    "account_number": "000222222227",
                    "account_holder_type": "company",
                    "account_type": "savings",
                },
            },
        ),
    ):
        params: Any = {**data, "billing_details": payer}
        method = await sandbox.stripe.payment_methods.create_async(params)
        intent = await _debited(sandbox, order, method.id, currency)
        await sandbox.control("settle", id=intent.id)
        failed = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
        assert failed.status == "requires_payment_method"


async def test_a_debit_survives_a_kill(own_sandbox: Sandbox) -> None:
    intent = await _debited(own_sandbox, "killed", "pm_sepaDebit_success", "eur")
    own_sandbox.kill()
    await own_sandbox.start()
    await own_sandbox.control("settle", id=intent.id)
    paid = await own_sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert paid.status == "succeeded"


@pytest.mark.parametrize(
    ("method", "currency", "way"),
    [
        ("pm_sepaDebit_success", "eur", "eu_bank_transfer"),
        ("pm_usBankAccount_success", "usd", "us_bank_transfer"),
    ],
)
async def test_a_debit_is_refunded_to_the_account(
    sandbox: Sandbox, order: str, method: str, currency: str, way: str
) -> None:
    intent = await _debited(sandbox, order, method, currency)
    await sandbox.control("settle", id=intent.id)
    refund: Any = await sandbox.stripe.refunds.create_async({"payment_intent": intent.id})
    assert refund.destination_details.type == way
    await sandbox.control("settle", id=refund.id)
    settled: Any = await sandbox.stripe.refunds.retrieve_async(refund.id)
    assert settled.status == "succeeded"
    assert settled.destination_details[way].reference_status == "available"
