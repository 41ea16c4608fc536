"""Which methods a payment takes, and what is refused before anybody is charged."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE
from tests.sandbox.program import RETURN_URL, Sandbox, payment

_KLARNA = {
    "type": "klarna",
    "billing_details": {"email": "payer@shop.example", "address": {"country": "DE"}},
}


def _inline(order: str, data: Any, **more: Any) -> Any:
    """A payment of 10.00 EUR, taken at once, by a method that is described on the spot."""
    params = payment(order, currency="eur", capture_method="automatic", **more)
    del params["payment_method"]
    return {**params, "payment_method_data": data}


async def test_a_payment_takes_the_types_it_names(sandbox: Sandbox, order: str) -> None:
    types = ["card", "ideal", "sepa_debit"]
    params: Any = {"amount": 1000, "currency": "eur", "allowed_payment_method_types": types}
    intent = await sandbox.stripe.payment_intents.create_async(params)
    assert intent.payment_method_types == types
    assert intent.allowed_payment_method_types == types
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.confirm_async(
            intent.id, {"payment_method_data": {"type": "paypal"}, "return_url": RETURN_URL}
        )
    assert refusal.value.code == "payment_intent_incompatible_payment_method"
    narrowed = await sandbox.stripe.payment_intents.confirm_async(
        intent.id,
        {
            "allowed_payment_method_types": ["paypal"],
            "payment_method_data": {"type": "paypal"},
            "return_url": RETURN_URL,
        },
    )
    assert narrowed.payment_method_types == ["paypal"]


@pytest.mark.parametrize(
    ("currency", "more", "types"),
    [
        ("eur", {}, ["card", "ideal", "klarna", "paypal", "sepa_debit"]),
        ("usd", {}, ["card", "klarna", "paypal", "us_bank_account"]),
        ("usd", {"capture_method": "manual"}, ["card", "klarna", "paypal"]),
        ("jpy", {}, ["card"]),
        (
            "eur",
            {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}},
            ["card", "sepa_debit"],
        ),
        ("eur", {"automatic_payment_methods": {"enabled": False}}, ["card"]),
    ],
)
async def test_left_to_stripe_a_payment_takes_whatever_fits(
    sandbox: Sandbox, currency: str, more: Any, types: list[str]
) -> None:
    params: Any = {"amount": 1000, "currency": currency, **more}
    intent = await sandbox.stripe.payment_intents.create_async(params)
    assert intent.payment_method_types == types


async def test_a_type_that_nobody_knows_is_refused(sandbox: Sandbox) -> None:
    params: Any = {"amount": 1000, "currency": "eur", "allowed_payment_method_types": ["oxxo"]}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(params)
    assert refusal.value.param == "allowed_payment_method_types"


@pytest.mark.parametrize(
    ("kind", "currency"),
    [
        ("ideal", "usd"),
        ("sepa_debit", "gbp"),
        ("us_bank_account", "eur"),
        ("klarna", "jpy"),
        ("paypal", "jpy"),
    ],
)
async def test_a_type_is_refused_in_a_currency_it_does_not_take(
    sandbox: Sandbox, kind: str, currency: str
) -> None:
    params: Any = {
        "amount": 1000,
        "currency": currency,
        "allowed_payment_method_types": ["card", kind],
    }
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(params)
    assert refusal.value.code == "payment_method_currency_mismatch"


async def test_a_method_is_refused_in_a_currency_it_does_not_take(
    sandbox: Sandbox, order: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, "pm_sepaDebit_success", mandate_data=MANDATE)
        )
    assert refusal.value.code == "payment_method_currency_mismatch"
    assert (await sandbox.ledger(order))["payment_intents"] == []


@pytest.mark.parametrize(
    ("method", "currency"),
    [("pm_sepaDebit_success", "eur"), ("pm_usBankAccount_success", "usd"), ("ideal", "eur")],
)
async def test_what_cannot_be_held_is_refused_for_later_capture(
    sandbox: Sandbox, order: str, method: str, currency: str
) -> None:
    if method == "ideal":
        method = (await sandbox.stripe.payment_methods.create_async({"type": "ideal"})).id
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, method, currency=currency, mandate_data=MANDATE)
        )
    assert refusal.value.param == "capture_method"


async def test_confirming_can_change_when_the_money_is_taken(sandbox: Sandbox) -> None:
    create: Any = {"amount": 1000, "currency": "eur", "capture_method": "manual"}
    intent = await sandbox.stripe.payment_intents.create_async(create)
    params: Any = {
        "payment_method": "pm_sepaDebit_success",
        "capture_method": "automatic",
        "mandate_data": MANDATE,
        "return_url": RETURN_URL,
    }
    intent = await sandbox.stripe.payment_intents.confirm_async(intent.id, params)
    assert (intent.status, intent.capture_method) == ("processing", "automatic")


@pytest.mark.parametrize("data", [{"type": "ideal"}, {"type": "paypal"}, _KLARNA])
async def test_a_redirect_needs_somewhere_to_return_to(
    sandbox: Sandbox, order: str, data: Any
) -> None:
    params = _inline(order, data, allowed_payment_method_types=[data["type"]])
    del params["return_url"]
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(params)
    assert (refusal.value.code, refusal.value.param) == ("parameter_missing", "return_url")


@pytest.mark.parametrize(
    ("mandate", "param"),
    [
        (None, "mandate_data"),
        ({"customer_acceptance": {"type": "online"}}, "mandate_data[customer_acceptance][online]"),
        (
            {"customer_acceptance": {"type": "online", "online": {"user_agent": "Browser"}}},
            "mandate_data[customer_acceptance][online][ip_address]",
        ),
        (
            {"customer_acceptance": {"type": "online", "online": {"ip_address": "203.0.113.7"}}},
            "mandate_data[customer_acceptance][online][user_agent]",
        ),
    ],
)
async def test_a_debit_needs_a_whole_mandate(
    sandbox: Sandbox, order: str, mandate: Any, param: str
) -> None:
    more = {} if mandate is None else {"mandate_data": mandate}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(
            payment(order, "pm_usBankAccount_success", capture_method="automatic", **more)
        )
    assert (refusal.value.code, refusal.value.param) == ("parameter_missing", param)


async def test_a_mandate_can_be_given_on_paper(sandbox: Sandbox, order: str) -> None:
    mandate = {"customer_acceptance": {"type": "offline", "accepted_at": 1_700_000_000}}
    intent = await sandbox.stripe.payment_intents.create_async(
        payment(order, "pm_usBankAccount_success", capture_method="automatic", mandate_data=mandate)
    )
    assert intent.status == "processing"


async def test_what_an_inline_method_lacks_is_named_in_full(sandbox: Sandbox, order: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async(_inline(order, {"type": "klarna"}))
    assert refusal.value.param == "payment_method_data[billing_details][email]"
