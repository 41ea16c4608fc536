"""Methods other than cards: what they are made of, and what is kept of a bank account."""

from typing import Any

import pytest
import stripe

from tests.sandbox.payer import MANDATE
from tests.sandbox.program import RETURN_URL, Sandbox, payment

_IBAN = {"iban": "AT611904300234573201"}
_ACCOUNT = {
    "routing_number": "110000000",
    "account_number": "000123456789",
    "account_holder_type": "individual",
}
_PAYER = {"name": "A. Payer", "email": "payer@shop.example"}


async def _method(sandbox: Sandbox, kind: str, details: Any, billing: Any) -> stripe.PaymentMethod:
    params: Any = {"type": kind}
    if details:
        params[kind] = details
    if billing:
        params["billing_details"] = billing
    return await sandbox.stripe.payment_methods.create_async(params)


async def test_a_european_account_shows_its_bank_and_last_four(sandbox: Sandbox) -> None:
    method: Any = await _method(sandbox, "sepa_debit", _IBAN, _PAYER)
    account = method.sepa_debit
    assert (account.country, account.bank_code, account.last4) == ("AT", "19043", "3201")
    french = {"iban": "FR14 2004 1010 0505 0001 3M02 606"}
    method = await _method(sandbox, "sepa_debit", french, _PAYER)
    account = method.sepa_debit
    assert (account.country, account.bank_code, account.branch_code) == ("FR", "20041", "01005")
    assert method.billing_details.name == "A. Payer"


async def test_an_american_account_shows_its_routing_and_last_four(sandbox: Sandbox) -> None:
    method: Any = await _method(sandbox, "us_bank_account", _ACCOUNT, {"name": "A. Payer"})
    account = method.us_bank_account
    assert (account.routing_number, account.last4) == ("110000000", "6789")
    assert (account.account_holder_type, account.account_type) == ("individual", "checking")


async def test_the_same_account_has_the_same_fingerprint(sandbox: Sandbox) -> None:
    german = {"iban": "DE89370400440532013000"}
    made: list[Any] = [
        await _method(sandbox, "sepa_debit", details, _PAYER) for details in (_IBAN, _IBAN, german)
    ]
    prints = [method.sepa_debit.fingerprint for method in made]
    assert prints[0] == prints[1] != prints[2]


async def test_an_ideal_method_may_name_its_bank(sandbox: Sandbox) -> None:
    named: Any = await _method(sandbox, "ideal", {"bank": "ing"}, None)
    open_: Any = await _method(sandbox, "ideal", None, None)
    assert (named.ideal.bank, named.ideal.bic) == ("ing", "INGBNL2A")
    assert (open_.ideal.bank, open_.ideal.bic) == (None, None)


async def test_paypal_and_klarna_bring_hardly_anything(sandbox: Sandbox) -> None:
    klarna = {"email": "payer@shop.example", "address": {"country": "DE"}}
    assert (await _method(sandbox, "paypal", None, None)).type == "paypal"
    assert (await _method(sandbox, "klarna", None, klarna)).type == "klarna"


_KLARNA_PLACE = {"address": {"country": "DE"}}
_WRONG: list[tuple[str, Any, Any, str | None, str]] = [
    ("sepa_debit", _IBAN, {"name": "A"}, "parameter_missing", "billing_details[email]"),
    ("sepa_debit", _IBAN, {"email": "a@b.example"}, "parameter_missing", "billing_details[name]"),
    ("us_bank_account", _ACCOUNT, None, "parameter_missing", "billing_details[name]"),
    ("klarna", None, _PAYER, "parameter_missing", "billing_details[address][country]"),
    ("klarna", None, _KLARNA_PLACE, "parameter_missing", "billing_details[email]"),
    ("sepa_debit", None, _PAYER, "parameter_missing", "sepa_debit"),
    (
        "sepa_debit",
        {"iban": "AT611904300234573202"},
        _PAYER,
        "invalid_bank_account_iban",
        "sepa_debit[iban]",
    ),
    (
        "us_bank_account",
        {**_ACCOUNT, "routing_number": "110000001"},
        _PAYER,
        "routing_number_invalid",
        "us_bank_account[routing_number]",
    ),
    (
        "us_bank_account",
        {**_ACCOUNT, "account_number": "12"},
        _PAYER,
        "account_number_invalid",
        "us_bank_account[account_number]",
    ),
    ("ideal", {"bank": "none"}, None, None, "ideal[bank]"),
    ("oxxo", None, _PAYER, None, "type"),
]


@pytest.mark.parametrize(("kind", "details", "billing", "code", "param"), _WRONG)
async def test_a_method_that_lacks_something_is_refused_by_name(
    sandbox: Sandbox, kind: str, details: Any, billing: Any, code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await _method(sandbox, kind, details, billing)
    assert (refusal.value.http_status, refusal.value.code) == (400, code)
    assert refusal.value.param == param


async def test_details_of_another_type_are_refused(sandbox: Sandbox) -> None:
    params: Any = {"type": "ideal", "sepa_debit": _IBAN}
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_methods.create_async(params)
    assert refusal.value.param == "sepa_debit"


@pytest.mark.parametrize(
    ("ready_made", "kind"),
    [
        ("pm_usBankAccount_success", "us_bank_account"),
        ("pm_usBankAccount_insufficientFunds", "us_bank_account"),
        ("pm_sepaDebit_success", "sepa_debit"),
        ("pm_sepaDebit_failed", "sepa_debit"),
    ],
)
async def test_ready_made_accounts_are_methods(
    sandbox: Sandbox, ready_made: str, kind: str
) -> None:
    method = await sandbox.stripe.payment_methods.retrieve_async(ready_made)
    assert (method.type, method.billing_details.name) == (kind, "A. Payer")
    unknown = ready_made.rpartition("_")[0] + "_nothing"
    with pytest.raises(stripe.InvalidRequestError) as refusal:
        await sandbox.stripe.payment_methods.retrieve_async(unknown)
    assert refusal.value.code == "resource_missing"


@pytest.mark.parametrize(
    ("method_id", "token", "wallet"),
    [
        ("pm_card_applePay", "tok_applePay", "apple_pay"),
        ("pm_card_googlePay", "tok_googlePay", "google_pay"),
    ],
)
async def test_a_wallet_pays_with_its_card_and_is_named_on_the_charge(
    sandbox: Sandbox, order: str, method_id: str, token: str, wallet: str
) -> None:
    by_token: Any = {"type": "card", "card": {"token": token}}
    made: Any = await sandbox.stripe.payment_methods.create_async(by_token)
    for method in (method_id, made.id):
        intent: Any = await sandbox.stripe.payment_intents.create_async(
            payment(order, method, expand=["payment_method", "latest_charge"])
        )
        assert intent.status == "requires_capture"
        card = intent.payment_method.card
        assert (card.brand, card.last4, card.wallet.type) == ("visa", "4242", wallet)
        assert intent.latest_charge.payment_method_details.card.wallet.type == wallet


async def test_no_account_number_is_in_a_file_the_sandbox_writes(own_sandbox: Sandbox) -> None:
    iban, letters, account = "DE02120300000000202051", "NL91ABNA0417164300", "91827364"
    spaced = "DE02 1203 0000 0000 2020 51"
    given: list[tuple[str, str, Any]] = [
        ("eur", "sepa_debit", {"iban": iban}),
        ("eur", "sepa_debit", {"iban": spaced}),
        ("eur", "sepa_debit", {"iban": letters}),
        ("usd", "us_bank_account", {**_ACCOUNT, "account_number": account}),
    ]
    for n, (currency, kind, details) in enumerate(given):
        params: Any = {
            "amount": 1000,
            "currency": currency,
            "confirm": True,
            "return_url": RETURN_URL,
            "payment_method_data": {"type": kind, kind: details, "billing_details": _PAYER},
            "mandate_data": MANDATE,
        }
        intent = await own_sandbox.stripe.payment_intents.create_async(
            params, {"idempotency_key": f"with an account {n}"}
        )
        assert intent.status == "processing"
    for wrong in (iban, letters):
        with pytest.raises(stripe.InvalidRequestError):
            await own_sandbox.stripe.payment_methods.retrieve_async(wrong)
        await own_sandbox.http.post(f"/v1/payment_methods?{wrong}={wrong}", data={wrong: wrong})
    own_sandbox.stop()
    written = b"".join(path.read_bytes() for path in own_sandbox.folder.iterdir())
    written += own_sandbox.record.read_bytes()
    for secret in (iban, spaced, spaced.replace(" ", "+"), letters, account):
        assert secret.encode() not in written
    assert b"iban%5D=" in written
    assert b"account_number%5D=" in written
