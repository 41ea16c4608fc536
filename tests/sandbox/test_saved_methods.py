"""Customers keep methods, and pay with them when they are not there."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE, answer
from tests.sandbox.program import RETURN_URL, Sandbox, payment

_EUROS = {"currency": "eur", "capture_method": "automatic"}
_LATER = {"setup_future_usage": "off_session"}
_ONCE = {"number": "4000002500003155", "exp_month": 12, "exp_year": 2040, "cvc": "123"}


async def _customer(sandbox: Sandbox, **more: Any) -> str:
    params: Any = {"name": "A. Payer", **more}
    return (await sandbox.stripe.customers.create_async(params)).id


async def _pay(sandbox: Sandbox, order: str, method: str, **more: Any) -> stripe.PaymentIntent:
    return await sandbox.stripe.payment_intents.create_async(payment(order, method, **more))


async def _methods(sandbox: Sandbox, customer: str, **more: Any) -> list[str]:
    params: Any = {"limit": 100, **more}
    listed = await sandbox.stripe.customers.payment_methods.list_async(customer, params)
    return [method.id for method in listed.data]


async def _told_of(sandbox: Sandbox, *ids: str) -> list[str]:
    """The types of the events about these objects, oldest first."""
    events = await sandbox.stripe.events.list_async({"limit": 100})
    found: list[Any] = [event.to_dict() for event in reversed(events.data)]
    return [event["type"] for event in found if event["data"]["object"]["id"] in ids]


async def test_customers_are_found_by_their_email(sandbox: Sandbox, order: str) -> None:
    email = f"{order}@shop.example"
    first = await _customer(sandbox, email=email)
    second = await _customer(sandbox, email=email)
    await _customer(sandbox, email=f"other-{email}")
    listed = await sandbox.stripe.customers.list_async({"email": email})
    assert [customer.id for customer in listed.data] == [second, first]


async def test_a_method_is_attached_listed_and_detached(sandbox: Sandbox) -> None:
    methods = sandbox.stripe.payment_methods
    customer = await _customer(sandbox)
    card = await methods.attach_async("pm_card_visa", {"customer": customer})
    account = await methods.attach_async("pm_sepaDebit_success", {"customer": customer})
    assert card.customer == customer
    assert await _methods(sandbox, customer) == [account.id, card.id]
    assert await _methods(sandbox, customer, type="card") == [card.id]
    everyones = await methods.list_async({"customer": customer, "type": "sepa_debit"})
    assert [method.id for method in everyones.data] == [account.id]
    found = await sandbox.stripe.customers.payment_methods.retrieve_async(customer, card.id)
    assert found.to_dict() == card.to_dict()
    detached = await methods.detach_async(card.id)
    assert detached.customer is None
    assert await _methods(sandbox, customer) == [account.id]
    assert await _told_of(sandbox, card.id) == [
        "payment_method.attached",
        "payment_method.detached",
    ]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.customers.payment_methods.retrieve_async(customer, card.id)
    assert refusal.value.http_status == 404


async def test_a_method_belongs_to_one_customer_at_most(sandbox: Sandbox) -> None:
    methods = sandbox.stripe.payment_methods
    one, other = await _customer(sandbox), await _customer(sandbox)
    method = await methods.attach_async("pm_card_visa", {"customer": one})
    assert (await methods.attach_async(method.id, {"customer": one})).customer == one
    with pytest.raises(stripe.InvalidRequestError):
        await methods.attach_async(method.id, {"customer": other})
    ideal = await methods.create_async({"type": "ideal"})
    for wrong in (ideal.id, "pm_nothing"):
        with pytest.raises(stripe.InvalidRequestError):
            await methods.attach_async(wrong, {"customer": one})
    with pytest.raises(stripe.InvalidRequestError):
        await methods.detach_async(ideal.id)


async def test_a_kept_method_pays_for_its_customer_only(sandbox: Sandbox, order: str) -> None:
    one, other = await _customer(sandbox), await _customer(sandbox)
    method = await sandbox.stripe.payment_methods.attach_async("pm_card_visa", {"customer": one})
    assert (await _pay(sandbox, order, method.id, customer=one)).status == "requires_capture"
    for wrong in ({}, {"customer": other}):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await _pay(sandbox, order, method.id, **wrong)
        assert (refusal.value.http_status, refusal.value.param) == (400, "payment_method")


async def test_a_detached_method_pays_no_more(sandbox: Sandbox, order: str) -> None:
    customer = await _customer(sandbox)
    methods = sandbox.stripe.payment_methods
    method = await methods.attach_async("pm_card_visa", {"customer": customer})
    await methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError):
        await _pay(sandbox, order, method.id, customer=customer)
    with pytest.raises(stripe.InvalidRequestError):
        await methods.attach_async(method.id, {"customer": customer})


async def test_a_payment_keeps_its_method_when_it_is_authorized(
    sandbox: Sandbox, order: str
) -> None:
    customer = await _customer(sandbox)
    kept = await _pay(sandbox, order, "pm_card_visa", customer=customer, **_LATER)
    assert await _methods(sandbox, customer) == [kept.payment_method]
    await _pay(sandbox, order, "pm_card_visa", customer=customer)
    with pytest.raises(stripe.CardError):
        await _pay(sandbox, order, "pm_card_chargeDeclined", customer=customer, **_LATER)
    assert await _methods(sandbox, customer) == [kept.payment_method]
    again = await _pay(
        sandbox, order, str(kept.payment_method), customer=customer, off_session=True
    )
    assert again.status == "requires_capture"


async def test_a_card_that_was_set_up_pays_without_its_payer(sandbox: Sandbox, order: str) -> None:
    customer = await _customer(sandbox)
    params: Any = {"type": "card", "card": _ONCE}
    card = (await sandbox.stripe.payment_methods.create_async(params)).id
    absent = {"customer": customer, "off_session": True}
    with pytest.raises(stripe.CardError) as refusal:
        await _pay(sandbox, order, card, **absent)
    assert refusal.value.code == "authentication_required"
    first = await _pay(sandbox, order, card, customer=customer, **_LATER)
    assert first.status == "requires_action"
    assert await _methods(sandbox, customer) == []
    await answer(sandbox, first, "approve")
    assert await _methods(sandbox, customer) == [card]
    assert (await _pay(sandbox, order, card, **absent)).status == "requires_capture"
    assert (await _pay(sandbox, order, card, customer=customer)).status == "requires_action"


async def test_a_card_that_always_asks_is_confirmed_again_by_its_payer(
    sandbox: Sandbox, order: str
) -> None:
    customer = await _customer(sandbox)
    first = await _pay(
        sandbox, order, "pm_card_authenticationRequired", customer=customer, **_LATER
    )
    await answer(sandbox, first, "approve")
    card = str(first.payment_method)
    with pytest.raises(stripe.CardError) as refusal:
        await _pay(sandbox, order, card, customer=customer, off_session=True)
    error: Any = refusal.value.error
    assert (refusal.value.http_status, error.code) == (402, "authentication_required")
    assert error.payment_method.id == card
    assert error.payment_intent.status == "requires_payment_method"
    intent = await sandbox.stripe.payment_intents.confirm_async(
        error.payment_intent.id, {"payment_method": card, "return_url": RETURN_URL}
    )
    assert intent.status == "requires_action"
    await answer(sandbox, intent, "approve")
    paid = await sandbox.stripe.payment_intents.retrieve_async(intent.id)
    assert paid.status == "requires_capture"


async def test_an_account_that_was_debited_once_needs_no_other_mandate(
    sandbox: Sandbox, order: str
) -> None:
    customer = await _customer(sandbox)
    debit = {**_EUROS, "customer": customer}
    first = await _pay(
        sandbox, order, "pm_sepaDebit_success", mandate_data=MANDATE, **debit, **_LATER
    )
    assert first.status == "processing"
    account = str(first.payment_method)
    assert await _methods(sandbox, customer, type="sepa_debit") == [account]
    again: Any = await _pay(
        sandbox, order, account, off_session=True, expand=["latest_charge"], **debit
    )
    assert again.status == "processing"
    before: Any = await sandbox.stripe.charges.retrieve_async(str(first.latest_charge))
    assert (
        again.latest_charge.payment_method_details.sepa_debit.mandate
        == before.payment_method_details.sepa_debit.mandate
    )


async def test_an_account_that_was_only_attached_needs_a_mandate(
    sandbox: Sandbox, order: str
) -> None:
    customer = await _customer(sandbox)
    account = await sandbox.stripe.payment_methods.attach_async(
        "pm_sepaDebit_success", {"customer": customer}
    )
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await _pay(sandbox, order, account.id, customer=customer, **_EUROS)
    assert refusal.value.param == "mandate_data"


async def test_a_paypal_account_that_was_set_up_pays_without_its_payer(
    sandbox: Sandbox, order: str
) -> None:
    customer = await _customer(sandbox)
    method = await sandbox.stripe.payment_methods.create_async({"type": "paypal"})
    first = await _pay(sandbox, order, method.id, customer=customer, **_LATER)
    await answer(sandbox, first, "approve")
    assert await _methods(sandbox, customer) == [method.id]
    again = await _pay(sandbox, order, method.id, customer=customer, off_session=True)
    assert again.status == "requires_capture"


async def test_keeping_a_method_is_told_after_the_payment(sandbox: Sandbox, order: str) -> None:
    customer = await _customer(sandbox)
    intent = await _pay(sandbox, order, "pm_card_visa", customer=customer, **_LATER)
    method, charge = str(intent.payment_method), str(intent.latest_charge)
    assert await _told_of(sandbox, intent.id, charge, method) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "payment_method.attached",
    ]
    events = await sandbox.stripe.events.list_async({"type": "payment_method.attached", "limit": 1})
    attached: Any = events.data[0].data.object
    assert (attached["id"], attached["customer"]) == (method, customer)
