"""The ways to pay at Stripe: in which currencies, for which account, and in which words."""

import pytest

from app.domain.gateway import AuthorizeRequest
from app.domain.methods import Method
from app.domain.money import Money
from app.domain.order import Mandate
from app.gateways.stripe import StripeGateway
from app.gateways.stripe_requests import confirmation, creation
from tests.sandbox.program import KEY, SECRET, Sandbox

_CURRENCIES = {
    Method.IDEAL: "eur",
    Method.SEPA_DEBIT: "eur",
    Method.ACH_DEBIT: "usd",
    Method.PAYPAL: "aud cad chf czk dkk eur gbp hkd nok nzd pln sek sgd usd",
    Method.KLARNA: "aud cad chf czk dkk eur gbp nok nzd pln ron sek usd",
}
_EVERY = "aud bhd cad chf czk dkk eur gbp hkd huf isk jpy nok nzd pln ron sek sgd usd zar".split()


@pytest.mark.parametrize("currency", _EVERY)
def test_each_way_to_pay_takes_its_currencies(gateway: StripeGateway, currency: str) -> None:
    offered = {offer.method for offer in gateway.offers(Money(500_000, currency))}
    assert offered == {
        method
        for method in Method
        if method not in _CURRENCIES or currency in _CURRENCIES[method].split()
    }


def test_what_is_held_first_and_what_can_be_kept(gateway: StripeGateway) -> None:
    offers = {
        offer.method: offer
        for currency in ("eur", "usd")
        for offer in gateway.offers(Money(5000, currency))
    }
    assert {m for m, offer in offers.items() if not offer.separate_capture} == {
        Method.IDEAL,
        Method.SEPA_DEBIT,
        Method.ACH_DEBIT,
    }
    assert {m for m, offer in offers.items() if not offer.can_be_saved} == {
        Method.IDEAL,
        Method.PAYPAL,
        Method.KLARNA,
    }


async def test_only_what_the_account_has_activated_is_offered(sandbox: Sandbox) -> None:
    gateway = StripeGateway(
        api_key=KEY,
        api_base=sandbox.url,
        webhook_secrets=[SECRET],
        timeout_seconds=20,
        methods=[Method.IDEAL, Method.ACH_DEBIT, Method.CREDIT_CARD],
    )
    offered = [offer.method for offer in gateway.offers(Money(5000, "eur"))]
    assert offered == [Method.CREDIT_CARD, Method.IDEAL]
    await gateway.close()


@pytest.mark.parametrize("method", Method)
def test_every_request_names_the_one_way_to_pay_that_was_chosen(method: Method) -> None:
    request = AuthorizeRequest("order-1", Money(4999, "eur"), method, "pm_1", "pi_1")
    for params in (creation(request), confirmation(request)):
        assert len(params["allowed_payment_method_types"]) == 1
        assert not {"payment_method_types", "automatic_payment_methods"} & {*params}


@pytest.mark.parametrize("transaction_id", [None, "pi_1"])
@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("off_session", [True, False])
def test_nothing_is_saved_while_the_shopper_is_away(
    transaction_id: str | None, save: bool, off_session: bool
) -> None:
    """Stripe refuses off_session where setup_future_usage is set, from an earlier try too."""
    request = AuthorizeRequest(
        "order-1",
        Money(4999, "eur"),
        Method.CREDIT_CARD,
        "pm_1",
        transaction_id,
        customer="cus_1",
        save=save,
        off_session=off_session,
    )
    params = creation(request) if transaction_id is None else confirmation(request)
    nothing = None if transaction_id is None else ""
    saved = "off_session" if save and not off_session else nothing
    assert params.get("setup_future_usage") == saved
    assert params.get("off_session", False) == off_session


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("off_session", [True, False])
def test_stripe_learns_where_the_shopper_is_only_to_allow_a_debit(
    method: Method, off_session: bool
) -> None:
    request = AuthorizeRequest(
        "order-1",
        Money(4999, "eur"),
        method,
        "pm_1",
        off_session=off_session,
        mandate=Mandate("203.0.113.7", "Mozilla/5.0"),
    )
    debit = method in (Method.SEPA_DEBIT, Method.ACH_DEBIT)
    assert ("203.0.113.7" in repr(creation(request))) == (debit and not off_session)


@pytest.mark.parametrize("method", Method)
def test_a_request_without_a_token_does_not_fall_back_on_the_method_before(method: Method) -> None:
    """A PaymentIntent that waits for the shopper has a payment method: another way may be meant."""
    params = confirmation(AuthorizeRequest("order-1", Money(4999, "eur"), method, None, "pi_1"))
    assert params["payment_method_data"]["type"] == params["allowed_payment_method_types"][0]
