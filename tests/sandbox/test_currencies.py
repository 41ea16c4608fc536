"""Amounts are in the smallest unit of their currency, and each currency has its rules."""

import pytest
import stripe

from tests.sandbox.program import Sandbox, payment

_ODD = "parameter_invalid_integer"
_WHOLE = "invalid_charge_amount_no_decimal_compatible"
_WITHOUT_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split()


async def _is_taken(sandbox: Sandbox, amount: int, currency: str) -> None:
    intent = await sandbox.stripe.payment_intents.create_async(
        {"amount": amount, "currency": currency}
    )
    assert (intent.amount, intent.currency) == (amount, currency)


async def _is_refused(sandbox: Sandbox, amount: int, currency: str, code: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_intents.create_async({"amount": amount, "currency": currency})
    assert (refusal.value.http_status, refusal.value.code) == (400, code)
    assert refusal.value.param == "amount"


@pytest.mark.parametrize("currency", _WITHOUT_DECIMALS)
async def test_a_currency_without_decimals_takes_any_whole_amount(
    sandbox: Sandbox, currency: str
) -> None:
    await _is_taken(sandbox, 501, currency)


@pytest.mark.parametrize("currency", "bhd jod kwd omr tnd".split())
async def test_the_last_of_three_decimals_is_0(sandbox: Sandbox, currency: str) -> None:
    await _is_taken(sandbox, 5120, currency)
    await _is_refused(sandbox, 5124, currency, _ODD)


@pytest.mark.parametrize("currency", ["isk", "ugx"])
async def test_decimals_that_are_out_of_use_are_sent_as_00(sandbox: Sandbox, currency: str) -> None:
    await _is_taken(sandbox, 500, currency)
    await _is_refused(sandbox, 550, currency, _WHOLE)


@pytest.mark.parametrize(("currency", "amount"), [("huf", 17501), ("twd", 2001)])
async def test_two_decimals_are_charged_where_only_payouts_lack_them(
    sandbox: Sandbox, currency: str, amount: int
) -> None:
    await _is_taken(sandbox, amount, currency)


@pytest.mark.parametrize(
    ("currency", "least"),
    [
        ("usd", 50),
        ("aed", 200),
        ("aud", 50),
        ("brl", 50),
        ("cad", 50),
        ("chf", 50),
        ("czk", 1500),
        ("dkk", 250),
        ("eur", 50),
        ("gbp", 30),
        ("hkd", 400),
        ("huf", 17500),
        ("inr", 50),
        ("jpy", 50),
        ("mxn", 1000),
        ("myr", 200),
        ("nok", 300),
        ("nzd", 50),
        ("pln", 200),
        ("ron", 200),
        ("sek", 300),
        ("sgd", 50),
        ("thb", 1000),
    ],
)
async def test_a_currency_has_its_least_amount(sandbox: Sandbox, currency: str, least: int) -> None:
    await _is_taken(sandbox, least, currency)
    await _is_refused(sandbox, least - 1, currency, "amount_too_small")


@pytest.mark.parametrize("currency", ["usd", "jpy"])
async def test_an_amount_has_at_most_eight_digits(sandbox: Sandbox, currency: str) -> None:
    await _is_taken(sandbox, 99_999_999, currency)
    await _is_refused(sandbox, 100_000_000, currency, "amount_too_large")


@pytest.mark.parametrize(
    ("currency", "held", "odd", "code"),
    [
        ("kwd", 5120, 2564, _ODD),
        ("isk", 50000, 2550, _WHOLE),
        ("ugx", 500000, 250050, _WHOLE),
    ],
)
async def test_a_part_that_is_captured_keeps_the_currencys_step_too(
    sandbox: Sandbox, order: str, currency: str, held: int, odd: int, code: str
) -> None:
    intents = sandbox.stripe.payment_intents
    intent = await intents.create_async(payment(order, amount=held, currency=currency))
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await intents.capture_async(intent.id, {"amount_to_capture": odd})
    assert (refusal.value.http_status, refusal.value.code) == (400, code)
    assert refusal.value.param == "amount_to_capture"
    assert (await intents.retrieve_async(intent.id)).status == "requires_capture"
    whole = odd - odd % 100
    taken = await intents.capture_async(intent.id, {"amount_to_capture": whole})
    assert (taken.status, taken.amount_received) == ("succeeded", whole)
