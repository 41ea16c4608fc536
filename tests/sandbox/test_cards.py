"""Cards become payment methods; their numbers are forgotten."""

import re
from typing import Any

import pytest
import stripe

from tests.sandbox.program import Sandbox

_GOOD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}


async def _method(sandbox: Sandbox, **card: Any) -> stripe.PaymentMethod:
    params: Any = {"type": "card", "card": card}
    return await sandbox.stripe.payment_methods.create_async(params)


@pytest.mark.parametrize(
    ("number", "brand"),
    [
        ("4242424242424242", "visa"),
        ("4111 1111 1111 1111", "visa"),
        ("5555555555554444", "mastercard"),
        ("378282246310005", "amex"),
        ("4000000000000341", "visa"),
    ],
)
async def test_a_card_becomes_a_method_with_its_brand_and_last_four(
    sandbox: Sandbox, number: str, brand: str
) -> None:
    method = await _method(sandbox, **{**_GOOD, "number": number})
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == (brand, number[-4:])
    again = await sandbox.stripe.payment_methods.retrieve_async(method.id)
    assert again.to_dict() == method.to_dict()


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"number": "42"}, "invalid_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": 2020}, "invalid_expiry_year", "exp_year"),
        ({"exp_year": 2999}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "12"}, "invalid_cvc", "cvc"),
    ],
)
async def test_wrong_card_details_are_refused_by_name(
    sandbox: Sandbox, wrong: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        await _method(sandbox, **{**_GOOD, **wrong})
    assert (refusal.value.code, refusal.value.param) == (code, param)
    assert refusal.value.http_status == 402


async def test_ready_made_ids_and_tokens_yield_fresh_methods(sandbox: Sandbox) -> None:
    first = await sandbox.stripe.payment_methods.retrieve_async("pm_card_amex")
    second = await _method(sandbox, token="tok_amex")
    assert first.id != second.id
    for method in (first, second):
        assert method.card is not None
        assert (method.card.brand, method.card.last4) == ("amex", "0005")


async def test_an_unknown_method_is_missing(sandbox: Sandbox) -> None:
    for unknown in ("pm_nothing", "pm_card_nothing"):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await sandbox.stripe.payment_intents.create_async(
                {"amount": 1000, "currency": "usd", "payment_method": unknown}
            )
        assert (refusal.value.code, refusal.value.param) == ("resource_missing", "payment_method")
        assert refusal.value.http_status == 400


async def test_the_same_number_has_the_same_fingerprint_and_another_number_another(
    sandbox: Sandbox,
) -> None:
    methods = [
        await _method(sandbox, **{**_GOOD, "number": number})
        for number in ("4242424242424242", "4242424242424242", "4111111111111111")
    ]
    prints = [method.card.fingerprint for method in methods if method.card is not None]
    assert prints[0] == prints[1] != prints[2]


async def test_a_card_number_is_in_no_file_the_sandbox_writes(own_sandbox: Sandbox) -> None:
    number = "4929907390326797"
    params: Any = {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "return_url": "https://shop.example/return",
        "payment_method_data": {
            "type": "card",
            "card": {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "735"},
        },
    }
    intent = await own_sandbox.stripe.payment_intents.create_async(
        params, {"idempotency_key": "with a raw card"}
    )
    assert intent.status == "succeeded"
    wrong = {"number": "4929907390326798", "exp_month": 12, "exp_year": 2040, "cvc": "735"}
    with pytest.raises(stripe.CardError):
        await _method(own_sandbox, **wrong)
    with pytest.raises(stripe.InvalidRequestError):
        await own_sandbox.stripe.payment_methods.retrieve_async(number)
    await own_sandbox.http.post(f"/v1/payment_methods?{number}={number}", data={number: number})
    spaced = " ".join(number[n : n + 4] for n in range(0, 16, 4))
    await own_sandbox.http.post("/v1/payment_methods", json={"card": {"number": spaced}})
    own_sandbox.stop()
    kept = b"".join(path.read_bytes() for path in own_sandbox.folder.iterdir())
    recorded = own_sandbox.record.read_bytes()
    for secret in (number, spaced, wrong["number"]):
        assert str(secret).encode() not in kept + recorded
    # Three digits are found anywhere by chance, so the code is looked for by its name.
    assert not re.search(rb"cvc(?!_check)", kept)
    assert not re.search(rb"cvc%5D=\d", recorded)
    assert b"cvc%5D=" in recorded
