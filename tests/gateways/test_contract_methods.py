"""What the house relies on of each way to pay, and of those that a customer keeps."""

from typing import Any

import pytest

from app.domain.facts import PaymentMethod
from app.domain.gateway import (
    AuthorizeRequest,
    GatewayPayment,
    OutcomeUnknownError,
    RefusedError,
    Status,
)
from app.domain.methods import Flow, Method, Offer
from app.domain.money import InvalidAmountError, Money
from app.domain.order import Mandate
from tests.gateways.asking import (
    EUROS,
    HELD,
    PRICE,
    RETURN_URL,
    TAKEN,
    authorize,
    card,
    looked_up,
    request,
)
from tests.gateways.subject import Charges, Subject

MANDATE = Mandate("203.0.113.7", "Mozilla/5.0")
REDIRECTS = (Method.IDEAL, Method.PAYPAL, Method.KLARNA)
DEBITS = (Method.SEPA_DEBIT, Method.ACH_DEBIT)


def _price(method: Method) -> Money:
    return PRICE if method is Method.ACH_DEBIT else EUROS


async def _pay(
    subject: Subject, order_id: str, method: Method, token: str | None = None, **more: Any
) -> GatewayPayment:
    asked = AuthorizeRequest(
        order_id,
        _price(method),
        method,
        token,
        **{
            "return_url": RETURN_URL,
            "email": "shopper@example.com",
            "billing_country": "NL",
            "mandate": MANDATE,
            **more,
        },
    )
    return await subject.gateway.authorize(asked, key=f"{order_id}:{method}")


# Offers


def _offered(subject: Subject, currency: str) -> dict[Method, Offer]:
    offers = subject.gateway.offers(Money(5000, currency))
    assert len({offer.method for offer in offers}) == len(offers)
    return {offer.method: offer for offer in offers}


def test_what_is_offered_depends_on_the_currency(subject: Subject) -> None:
    everywhere = {Method.CREDIT_CARD, Method.DEBIT_CARD, Method.APPLE_PAY, Method.GOOGLE_PAY}
    assert set(_offered(subject, "jpy")) == everywhere
    assert set(_offered(subject, "usd")) == everywhere | {
        Method.PAYPAL,
        Method.KLARNA,
        Method.ACH_DEBIT,
    }
    assert set(_offered(subject, "eur")) == everywhere | {
        Method.PAYPAL,
        Method.KLARNA,
        Method.IDEAL,
        Method.SEPA_DEBIT,
    }


def test_nothing_is_offered_for_an_amount_that_cannot_be_charged(subject: Subject) -> None:
    with pytest.raises(InvalidAmountError):
        subject.gateway.offers(Money(1, "usd"))


def test_an_offer_says_what_it_needs(subject: Subject) -> None:
    for offer in (_offered(subject, "usd") | _offered(subject, "eur")).values():
        needed = {
            Flow.CARD: {"payment_method_token"},
            Flow.WALLET: {"payment_method_token"},
            Flow.REDIRECT: {"return_url"},
            Flow.BANK_DEBIT: {"payment_method_token", "mandate"},
        }[offer.flow]
        if offer.method is Method.KLARNA:
            needed |= {"customer_email", "billing_country"}
        assert set(offer.requires) == needed


# Wallets


async def test_a_wallet_pays_as_a_card_does_and_is_told_from_one(
    subject: Subject, order_id: str
) -> None:
    for number, (method, token) in enumerate(subject.wallets.items()):
        order = f"{order_id}-{number}"
        assert (await subject.gateway.read_token(token)).method.type == method
        seen = await _pay(subject, order, method, token)
        assert (seen.status, seen.authorized) == (Status.AUTHORIZED, 4999)
        assert seen.method is not None
        assert (seen.method.type, seen.method.last4) == (method, "4242")
        assert await subject.charges(order) == HELD


# Redirects


@pytest.mark.parametrize("method", REDIRECTS)
async def test_the_shopper_approves_on_the_methods_own_page(
    subject: Subject, order_id: str, method: Method
) -> None:
    sent = await _pay(subject, order_id, method)
    assert (sent.status, sent.authorized, sent.captured) == (Status.REQUIRES_ACTION, 0, 0)
    assert sent.next_action is not None
    assert sent.next_action.type == "redirect"
    await subject.shopper(sent, "approve")
    seen = await looked_up(subject, sent)
    later = _offered(subject, "eur")[method].separate_capture
    assert seen.status is (Status.AUTHORIZED if later else Status.CAPTURED)
    assert (seen.authorized, seen.captured) == (4999, 0 if later else 4999)
    assert seen.method == PaymentMethod(method)
    assert await subject.charges(order_id) == (HELD if later else TAKEN)
    paid = await subject.gateway.capture(seen.transaction_id, EUROS, key=f"{order_id}:capture")
    assert (paid.status, paid.captured) == (Status.CAPTURED, 4999)
    assert await subject.charges(order_id) == TAKEN


@pytest.mark.parametrize("method", REDIRECTS)
async def test_a_shopper_who_cancels_is_a_decline_told_to_shoppers(
    subject: Subject, order_id: str, method: Method
) -> None:
    sent = await _pay(subject, order_id, method)
    await subject.shopper(sent, "cancel")
    seen = await looked_up(subject, sent)
    assert (seen.status, seen.method) == (Status.DECLINED, PaymentMethod(method))
    assert seen.decline is not None
    assert (seen.decline.code, seen.decline.retryable) == ("payment_method_customer_decline", True)
    assert seen.decline.message == "The payment was canceled before it was approved."
    assert await subject.charges(order_id) == Charges(payments=1)


@pytest.mark.parametrize("method", [Method.PAYPAL, Method.KLARNA])
async def test_money_that_is_held_by_redirect_can_be_released(
    subject: Subject, order_id: str, method: Method
) -> None:
    sent = await _pay(subject, order_id, method)
    await subject.shopper(sent, "approve")
    voided = await subject.gateway.void(sent.transaction_id, key=f"{order_id}:void")
    assert voided.status is Status.VOIDED
    assert await subject.charges(order_id) == Charges(payments=1, authorizations=1)


async def test_another_way_to_pay_after_a_decline_is_the_same_payment(
    subject: Subject, order_id: str
) -> None:
    """A card, then iDEAL, then PayPal that is left alone, then a wallet: charged once."""
    poor = (await subject.gateway.create_token(card(subject.poor_card))).id
    declined = await _pay(subject, order_id, Method.CREDIT_CARD, poor, return_url=None)
    same = {"transaction_id": declined.transaction_id}
    canceled = await _pay(subject, order_id, Method.IDEAL, **same)
    await subject.shopper(canceled, "cancel")
    left = await _pay(subject, order_id, Method.PAYPAL, **same)
    assert left.status is Status.REQUIRES_ACTION
    wallet = subject.wallets[Method.APPLE_PAY]
    paid = await _pay(subject, order_id, Method.APPLE_PAY, wallet, **same)
    assert (paid.status, paid.transaction_id) == (Status.AUTHORIZED, declined.transaction_id)
    assert await subject.charges(order_id) == HELD


async def test_a_currency_that_the_method_does_not_take_is_refused(
    subject: Subject, order_id: str
) -> None:
    asked = AuthorizeRequest(order_id, PRICE, Method.IDEAL, return_url=RETURN_URL)
    with pytest.raises(RefusedError):
        await subject.gateway.authorize(asked, key=order_id)
    assert await subject.charges(order_id) == Charges()


# Debits of a bank account


@pytest.mark.parametrize("method", DEBITS)
async def test_a_debit_is_certain_only_when_the_bank_has_answered(
    subject: Subject, order_id: str, method: Method
) -> None:
    token = await subject.gateway.read_token(subject.good_accounts[method])
    assert token.method.type == method
    assert token.method.last4 is not None
    sent = await _pay(subject, order_id, method, token.id)
    assert (sent.status, sent.authorized, sent.captured) == (Status.PROCESSING, 0, 0)
    assert sent.method == token.method
    assert (await subject.charges(order_id)).captured == 0
    await subject.settle(sent.transaction_id)
    seen = await looked_up(subject, sent)
    assert (seen.status, seen.authorized, seen.captured) == (Status.CAPTURED, 4999, 4999)
    assert await subject.charges(order_id) == TAKEN


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (Method.SEPA_DEBIT, "generic_could_not_process"),
        (Method.ACH_DEBIT, "insufficient_funds"),
    ],
)
async def test_a_debit_that_the_bank_refuses_days_later_is_declined(
    subject: Subject, order_id: str, method: Method, code: str
) -> None:
    token = await subject.gateway.read_token(subject.poor_accounts[method])
    sent = await _pay(subject, order_id, method, token.id)
    assert sent.status is Status.PROCESSING
    await subject.settle(sent.transaction_id)
    seen = await looked_up(subject, sent)
    assert (seen.status, seen.captured, seen.method) == (Status.DECLINED, 0, token.method)
    assert seen.decline is not None
    assert seen.decline.code == code
    assert await subject.charges(order_id) == Charges(payments=1)


@pytest.mark.parametrize("method", DEBITS)
async def test_an_account_is_not_debited_without_the_shoppers_mandate(
    subject: Subject, order_id: str, method: Method
) -> None:
    with pytest.raises(RefusedError):
        await _pay(subject, order_id, method, subject.good_accounts[method], mandate=None)
    assert await subject.charges(order_id) == Charges()


# What a customer keeps


async def _customer(subject: Subject, order_id: str) -> str:
    return await subject.gateway.create_customer(f"c-{order_id}", key=f"customer:c-{order_id}")


async def test_a_customer_is_made_once(subject: Subject, order_id: str) -> None:
    made = await _customer(subject, order_id)
    assert await _customer(subject, order_id) == made
    assert await subject.gateway.saved_methods(made) == []


async def test_a_customer_nobody_made_keeps_nothing_to_be_read(subject: Subject) -> None:
    with pytest.raises(RefusedError):
        await subject.gateway.saved_methods("customer_of_nobody")


async def test_a_card_is_kept_if_the_shopper_wants_it(subject: Subject, order_id: str) -> None:
    customer = await _customer(subject, order_id)
    await authorize(subject, f"{order_id}-1", subject.good_card, customer=customer)
    assert await subject.gateway.saved_methods(customer) == []
    asked = await request(
        subject, f"{order_id}-2", subject.debit_card, customer=customer, save=True
    )
    await subject.gateway.authorize(asked, key=f"{order_id}-2")
    [kept] = await subject.gateway.saved_methods(customer)
    assert kept.id == asked.token
    assert (kept.method.type, kept.method.last4) == ("debit_card", "5556")


async def test_a_card_is_not_kept_because_the_declined_one_would_have_been(
    subject: Subject, order_id: str
) -> None:
    customer = await _customer(subject, order_id)
    declined = await authorize(subject, order_id, subject.poor_card, customer=customer, save=True)
    asked = await request(
        subject,
        order_id,
        subject.good_card,
        transaction_id=declined.transaction_id,
        customer=customer,
    )
    seen = await subject.gateway.authorize(asked, key=f"{order_id}:2")
    assert seen.status is Status.AUTHORIZED
    assert await subject.gateway.saved_methods(customer) == []


async def test_an_account_is_kept_with_its_mandate(subject: Subject, order_id: str) -> None:
    customer = await _customer(subject, order_id)
    method, token = Method.SEPA_DEBIT, subject.good_accounts[Method.SEPA_DEBIT]
    await _pay(subject, f"{order_id}-1", method, token, customer=customer, save=True)
    [kept] = await subject.gateway.saved_methods(customer)
    assert kept.method.type == method
    again = await _pay(
        subject,
        f"{order_id}-2",
        method,
        kept.id,
        customer=customer,
        off_session=True,
        mandate=None,
    )
    assert again.status is Status.PROCESSING


async def test_what_cannot_be_paid_with_again_is_not_listed(
    subject: Subject, order_id: str
) -> None:
    customer = await _customer(subject, order_id)
    sent = await _pay(subject, order_id, Method.PAYPAL, customer=customer, save=True)
    await subject.shopper(sent, "approve")
    assert (await looked_up(subject, sent)).status is Status.AUTHORIZED
    assert await subject.gateway.saved_methods(customer) == []


async def _kept(subject: Subject, order_id: str, number: str) -> tuple[str, str]:
    """A customer, and a card of theirs that they authenticated to keep it."""
    customer = await _customer(subject, order_id)
    first = await authorize(
        subject, f"{order_id}-first", number, customer=customer, save=True, return_url=RETURN_URL
    )
    await subject.shopper(first, "approve")
    [kept] = await subject.gateway.saved_methods(customer)
    return customer, kept.id


async def test_a_kept_card_pays_while_the_shopper_is_away(subject: Subject, order_id: str) -> None:
    customer, token = await _kept(subject, order_id, subject.once_challenged_card)
    seen = await _pay(
        subject, order_id, Method.CREDIT_CARD, token, customer=customer, off_session=True
    )
    assert seen.status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


@pytest.mark.parametrize("return_url", [RETURN_URL, None])
async def test_a_kept_card_that_wants_to_see_the_shopper_asks_for_them(
    subject: Subject, order_id: str, return_url: str | None
) -> None:
    customer, token = await _kept(subject, order_id, subject.challenged_card)
    more = {"customer": customer, "off_session": True, "return_url": return_url}
    seen = await _pay(subject, order_id, Method.CREDIT_CARD, token, **more)
    assert (seen.status, seen.decline) == (Status.REQUIRES_ACTION, None)
    assert seen.next_action is not None
    assert seen.next_action.type == ("redirect" if return_url else "use_gateway_sdk")
    assert await _pay(subject, order_id, Method.CREDIT_CARD, token, **more) == seen
    if return_url:
        await subject.shopper(seen, "approve")
        assert (await looked_up(subject, seen)).status is Status.AUTHORIZED
    assert (await subject.charges(order_id)).payments == 1


async def test_asking_for_the_shopper_is_asked_again_when_the_answer_is_lost(
    subject: Subject, order_id: str
) -> None:
    customer, token = await _kept(subject, order_id, subject.challenged_card)
    more = {"customer": customer, "off_session": True}
    await subject.fault(f"{subject.authorize_path}/.+", action="drop", mode="after")
    with pytest.raises(OutcomeUnknownError):
        await _pay(subject, order_id, Method.CREDIT_CARD, token, **more)
    seen = await _pay(subject, order_id, Method.CREDIT_CARD, token, **more)
    assert seen.status is Status.REQUIRES_ACTION
    assert (await subject.charges(order_id)).payments == 1


async def test_a_kept_card_that_is_declined_stays_declined(subject: Subject, order_id: str) -> None:
    token = (await subject.gateway.create_token(card(subject.lost_card))).id
    seen = await _pay(subject, order_id, Method.CREDIT_CARD, token, off_session=True)
    assert seen.status is Status.DECLINED
    assert seen.decline is not None
    assert (seen.decline.code, seen.decline.retryable) == ("lost_card", False)


async def test_more_than_a_hundred_kept_cards_are_all_listed(
    subject: Subject, order_id: str
) -> None:
    customer = await _customer(subject, order_id)
    for number in range(101):
        asked = await request(
            subject, f"{order_id}-{number}", subject.good_card, customer=customer, save=True
        )
        await subject.gateway.authorize(asked, key=f"{order_id}-{number}")
    kept = await subject.gateway.saved_methods(customer)
    assert len({token.id for token in kept}) == 101
