"""What the house relies on, whichever gateway it is wired to: cards, from a token to a capture."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.facts import PaymentMethod
from app.domain.gateway import (
    AuthorizeRequest,
    Card,
    OutcomeUnknownError,
    RefusedError,
    Status,
)
from app.domain.methods import Method
from app.domain.money import InvalidAmountError, Money
from app.wiring import build_gateway
from tests.conftest import settings_with
from tests.gateways.asking import (
    HELD,
    NEXT_YEAR,
    PRICE,
    RETURN_URL,
    TAKEN,
    authorize,
    card,
    held,
    looked_up,
    request,
    since,
    taken,
)
from tests.gateways.conftest import SUBJECTS
from tests.gateways.subject import Charges, Subject


def test_the_wired_gateway_is_under_contract() -> None:
    assert build_gateway(settings_with()).name in SUBJECTS


# Tokens


async def test_a_token_tells_no_more_of_the_card_than_may_be_shown(subject: Subject) -> None:
    credit = await subject.gateway.create_token(card(subject.good_card))
    assert replace(credit.method, fingerprint=None) == PaymentMethod("credit_card", "visa", "4242")
    assert subject.good_card not in repr(credit)
    debit = await subject.gateway.create_token(card(subject.debit_card))
    assert replace(debit.method, fingerprint=None) == PaymentMethod("debit_card", "visa", "5556")


async def test_the_same_card_is_known_again_and_by_another_name_than_its_number(
    subject: Subject,
) -> None:
    once, again, other = [
        (await subject.gateway.create_token(card(number))).method.fingerprint
        for number in (subject.good_card, subject.good_card, subject.debit_card)
    ]
    assert once is not None
    assert once == again != other
    assert subject.good_card not in once


async def test_what_stands_behind_a_token_can_be_read(subject: Subject) -> None:
    token = await subject.gateway.create_token(card(subject.good_card))
    assert await subject.gateway.read_token(token.id) == token


async def test_a_token_nobody_made_cannot_be_read(subject: Subject) -> None:
    with pytest.raises(RefusedError):
        await subject.gateway.read_token("token_of_nobody")


async def test_a_card_without_a_security_code_can_be_a_token(subject: Subject) -> None:
    token = await subject.gateway.create_token(Card(subject.good_card, 12, NEXT_YEAR, None))
    assert token.method.last4 == "4242"


async def test_a_number_that_is_none_is_refused(subject: Subject) -> None:
    with pytest.raises(RefusedError) as refusal:
        await subject.gateway.create_token(card(subject.misspelt_card))
    assert refusal.value.code == "incorrect_number"


async def test_an_expired_card_is_refused(subject: Subject) -> None:
    with pytest.raises(RefusedError) as refusal:
        await subject.gateway.create_token(Card(subject.good_card, 1, 2020, "123"))
    assert refusal.value.code == "invalid_expiry_year"


# Authorizations


async def test_a_good_card_holds_the_money_and_takes_none(subject: Subject, order_id: str) -> None:
    seen = await authorize(subject, order_id, subject.good_card)
    assert (seen.status, seen.order_id) == (Status.AUTHORIZED, order_id)
    assert (seen.amount, seen.authorized, seen.captured) == (PRICE, 4999, 0)
    assert seen.method == (await subject.gateway.create_token(card(subject.good_card))).method
    assert seen.capture_before is not None
    assert seen.capture_before > datetime.now(UTC) + timedelta(days=1)
    assert await subject.charges(order_id) == HELD


@pytest.mark.parametrize(
    ("which", "code", "retryable"),
    [("poor_card", "insufficient_funds", True), ("lost_card", "lost_card", False)],
)
async def test_a_decline_is_an_answer(
    subject: Subject, order_id: str, which: str, code: str, retryable: bool
) -> None:
    number = getattr(subject, which)
    seen = await authorize(subject, order_id, number)
    assert (seen.status, seen.order_id, seen.authorized) == (Status.DECLINED, order_id, 0)
    assert seen.decline is not None
    assert (seen.decline.code, seen.decline.retryable) == (code, retryable)
    assert seen.decline.message
    assert seen.method == (await subject.gateway.create_token(card(number))).method
    assert await subject.charges(order_id) == Charges(payments=1)


async def test_another_card_pays_the_same_payment_after_a_decline(
    subject: Subject, order_id: str
) -> None:
    declined = await authorize(subject, order_id, subject.poor_card)
    asked = await request(
        subject, order_id, subject.good_card, transaction_id=declined.transaction_id
    )
    seen = await subject.gateway.authorize(asked, key=f"{order_id}:authorize:2")
    assert (seen.status, seen.transaction_id) == (Status.AUTHORIZED, declined.transaction_id)
    assert seen.decline is None
    assert await subject.charges(order_id) == HELD


async def test_a_payment_that_holds_money_cannot_be_authorized_again(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await held(subject, order_id)
    asked = await request(subject, order_id, subject.good_card, transaction_id=transaction_id)
    seen = await subject.gateway.authorize(asked, key=f"{order_id}:authorize:2")
    assert (seen.status, seen.transaction_id) == (Status.AUTHORIZED, transaction_id)
    assert await subject.charges(order_id) == HELD


@pytest.mark.parametrize("which", ["good_card", "poor_card"])
async def test_the_same_key_gives_the_same_answer(
    subject: Subject, order_id: str, which: str
) -> None:
    asked = await request(subject, order_id, getattr(subject, which))
    answers = [await subject.gateway.authorize(asked, key=order_id) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert await subject.charges(order_id) == (
        HELD if which == "good_card" else Charges(payments=1)
    )


async def test_the_same_key_at_once_charges_once(subject: Subject, order_id: str) -> None:
    asked = await request(subject, order_id, subject.good_card)
    answers = await asyncio.gather(
        *(subject.gateway.authorize(asked, key=order_id) for _ in range(5)),
        return_exceptions=True,
    )
    unsure = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, OutcomeUnknownError) for answer in unsure)
    assert (await subject.gateway.authorize(asked, key=order_id)).status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_a_key_used_for_something_else_is_refused(subject: Subject, order_id: str) -> None:
    await subject.gateway.authorize(
        await request(subject, order_id, subject.good_card), key=order_id
    )
    with pytest.raises(RefusedError):
        await subject.gateway.authorize(
            await request(subject, order_id, subject.poor_card), key=order_id
        )
    assert await subject.charges(order_id) == HELD


async def test_a_token_nobody_made_is_refused(subject: Subject, order_id: str) -> None:
    with pytest.raises(RefusedError):
        await subject.gateway.authorize(
            AuthorizeRequest(order_id, PRICE, Method.CREDIT_CARD, "token_of_nobody"), key=order_id
        )
    assert await subject.charges(order_id) == Charges()


@pytest.mark.parametrize(
    ("return_url", "action"),
    [(RETURN_URL, "redirect"), (None, "use_gateway_sdk")],
)
async def test_a_challenged_card_says_what_the_shopper_has_to_do(
    subject: Subject, order_id: str, return_url: str | None, action: str
) -> None:
    asked = await request(subject, order_id, subject.challenged_card, return_url=return_url)
    seen = await subject.gateway.authorize(asked, key=order_id)
    assert (seen.status, seen.authorized) == (Status.REQUIRES_ACTION, 0)
    assert seen.next_action is not None
    assert seen.next_action.type == action
    assert (seen.next_action.url is None) == (return_url is None)
    assert (seen.next_action.client_secret is None) == (return_url is not None)
    assert (await subject.charges(order_id)).held == 0


async def test_a_challenge_that_is_passed_holds_the_money(subject: Subject, order_id: str) -> None:
    seen = await authorize(subject, order_id, subject.challenged_card, return_url=RETURN_URL)
    await subject.shopper(seen, "approve")
    found = await looked_up(subject, seen)
    assert (found.status, found.authorized, found.next_action) == (Status.AUTHORIZED, 4999, None)
    assert await subject.charges(order_id) == HELD


async def test_a_challenge_that_is_failed_is_a_decline_told_to_shoppers(
    subject: Subject, order_id: str
) -> None:
    seen = await authorize(subject, order_id, subject.challenged_card, return_url=RETURN_URL)
    await subject.shopper(seen, "fail")
    found = await looked_up(subject, seen)
    assert found.status is Status.DECLINED
    assert found.decline is not None
    assert (found.decline.code, found.decline.retryable) == (
        "payment_intent_authentication_failure",
        True,
    )
    assert "could not confirm that it was you" in found.decline.message
    assert found.method is not None
    assert (found.method.last4, found.method.fingerprint is None) == ("3184", False)


async def test_what_is_shown_of_a_second_try_is_not_the_first_ones_card(
    subject: Subject, order_id: str
) -> None:
    declined = await authorize(subject, order_id, subject.poor_card)
    asked = await request(
        subject, order_id, subject.challenged_card, transaction_id=declined.transaction_id
    )
    seen = await subject.gateway.authorize(asked, key=f"{order_id}:authorize:2")
    assert (seen.status, seen.method) == (Status.REQUIRES_ACTION, None)


def test_an_amount_too_small_to_charge_is_said_beforehand(subject: Subject) -> None:
    subject.gateway.check_amount(PRICE)
    with pytest.raises(InvalidAmountError, match=r"0\.01 USD"):
        subject.gateway.check_amount(Money(1, "usd"))


# Looking up


async def test_a_payment_is_found_by_its_order_or_its_own_id(
    subject: Subject, order_id: str
) -> None:
    authorized = await authorize(subject, order_id, subject.good_card)
    assert await subject.gateway.look_up(order_id, None, since()) == authorized
    assert await subject.gateway.look_up(order_id, authorized.transaction_id, since()) == authorized


async def test_an_order_the_gateway_never_heard_of_is_not_found(
    subject: Subject, order_id: str
) -> None:
    assert await subject.gateway.look_up(order_id, None, since()) is None


async def test_a_payment_is_found_behind_a_hundred_others(subject: Subject, order_id: str) -> None:
    authorized = await authorize(subject, order_id, subject.good_card)
    token = (await subject.gateway.create_token(card(subject.lost_card))).id
    for batch in range(11):
        await asyncio.gather(
            *(
                subject.gateway.authorize(
                    AuthorizeRequest(f"{order_id}-{batch}-{n}", PRICE, Method.CREDIT_CARD, token),
                    key=f"{order_id}-{batch}-{n}",
                )
                for n in range(10)
            )
        )
    assert await subject.gateway.look_up(order_id, None, since()) == authorized
    assert await subject.gateway.look_up(f"{order_id}-x", None, since()) is None


async def test_of_two_payments_for_an_order_the_one_with_the_money_is_found(
    subject: Subject, order_id: str
) -> None:
    paid = await authorize(subject, order_id, subject.good_card)
    asked = await request(subject, order_id, subject.poor_card)
    await subject.gateway.authorize(asked, key=f"{order_id}:again")
    assert await subject.gateway.look_up(order_id, None, since()) == paid


# Capture, void


async def test_captured_twice_is_taken_once(subject: Subject, order_id: str) -> None:
    transaction_id = await held(subject, order_id)
    for key in ("capture:1", "capture:1", "capture:2"):
        seen = await subject.gateway.capture(transaction_id, PRICE, key=f"{order_id}:{key}")
        assert (seen.status, seen.captured) == (Status.CAPTURED, 4999)
    assert await subject.charges(order_id) == TAKEN


async def test_the_gateways_fee_is_told_with_the_capture_and_ever_after(
    subject: Subject, order_id: str
) -> None:
    began = since()
    seen = await authorize(subject, order_id, subject.good_card)
    assert seen.fee is None
    assert seen.created_at is not None
    assert seen.created_at >= began
    captured = await subject.gateway.capture(seen.transaction_id, PRICE, key=f"{order_id}:1")
    assert captured.fee is not None
    assert captured.fee.amount == Money(175, "usd")
    assert captured.created_at == seen.created_at
    assert (await looked_up(subject, captured)).fee == captured.fee
    found = await subject.gateway.look_up(order_id, None, began)
    assert found is not None
    assert found.fee == captured.fee


async def test_capturing_a_part_releases_the_rest(subject: Subject, order_id: str) -> None:
    transaction_id = await held(subject, order_id)
    seen = await subject.gateway.capture(transaction_id, PRICE.of(999), key=order_id)
    assert (seen.status, seen.amount, seen.captured) == (Status.CAPTURED, PRICE, 999)
    charges = await subject.charges(order_id)
    assert (charges.captured, charges.held) == (999, 0)


async def test_what_was_voided_stays_voided(subject: Subject, order_id: str) -> None:
    transaction_id = await held(subject, order_id)
    for key in ("void:1", "void:1", "void:2"):
        seen = await subject.gateway.void(transaction_id, key=f"{order_id}:{key}")
        assert (seen.status, seen.authorized) == (Status.VOIDED, 0)
    seen = await subject.gateway.capture(transaction_id, PRICE, key=f"{order_id}:capture:1")
    assert (seen.status, seen.captured) == (Status.VOIDED, 0)
    assert await subject.charges(order_id) == Charges(payments=1, authorizations=1)


async def test_what_was_captured_cannot_be_voided(subject: Subject, order_id: str) -> None:
    transaction_id = await taken(subject, order_id)
    seen = await subject.gateway.void(transaction_id, key=f"{order_id}:void:1")
    assert (seen.status, seen.captured) == (Status.CAPTURED, 4999)
    assert await subject.charges(order_id) == TAKEN


async def test_a_declined_payment_can_be_voided(subject: Subject, order_id: str) -> None:
    declined = await authorize(subject, order_id, subject.poor_card)
    seen = await subject.gateway.void(declined.transaction_id, key=f"{order_id}:void:1")
    assert seen.status is Status.VOIDED
