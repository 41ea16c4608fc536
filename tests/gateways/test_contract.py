"""What the house relies on, whichever gateway it is wired to."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.facts import PaymentMethod
from app.domain.gateway import (
    AuthorizeRequest,
    Card,
    GatewayPayment,
    OutcomeUnknownError,
    RefusedError,
    Status,
    UnavailableError,
)
from app.domain.money import InvalidAmountError, Money
from app.wiring import build_gateway
from tests.conftest import settings_with
from tests.gateways.conftest import SUBJECTS
from tests.gateways.subject import Charges, Subject

PRICE = Money(4999, "usd")
NEXT_YEAR = datetime.now(UTC).year + 1
HELD = Charges(payments=1, authorizations=1, held=4999)
TAKEN = Charges(payments=1, authorizations=1, captures=1, captured=4999)


def _card(number: str) -> Card:
    return Card(number, 12, NEXT_YEAR, "123")


def _since() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


async def _request(
    subject: Subject,
    order_id: str,
    number: str,
    *,
    transaction_id: str | None = None,
    return_url: str | None = None,
) -> AuthorizeRequest:
    token = await subject.gateway.create_token(_card(number))
    return AuthorizeRequest(order_id, PRICE, token.id, transaction_id, return_url)


async def _authorize(subject: Subject, order_id: str, number: str) -> GatewayPayment:
    request = await _request(subject, order_id, number)
    return await subject.gateway.authorize(request, key=f"{order_id}:authorize:1")


async def _held(subject: Subject, order_id: str) -> str:
    """An authorized payment, by its transaction id."""
    return (await _authorize(subject, order_id, subject.good_card)).transaction_id


async def _taken(subject: Subject, order_id: str) -> str:
    """A captured payment, by its transaction id."""
    transaction_id = await _held(subject, order_id)
    await subject.gateway.capture(transaction_id, PRICE, key=f"{order_id}:capture:1")
    return transaction_id


def test_the_wired_gateway_is_under_contract() -> None:
    assert build_gateway(settings_with()).name in SUBJECTS


# Tokens


async def test_a_token_tells_no_more_of_the_card_than_may_be_shown(subject: Subject) -> None:
    credit = await subject.gateway.create_token(_card(subject.good_card))
    assert credit.method == PaymentMethod("credit_card", "visa", "4242")
    assert subject.good_card not in repr(credit)
    debit = await subject.gateway.create_token(_card(subject.debit_card))
    assert debit.method == PaymentMethod("debit_card", "visa", "5556")


async def test_a_card_without_a_security_code_can_be_a_token(subject: Subject) -> None:
    token = await subject.gateway.create_token(Card(subject.good_card, 12, NEXT_YEAR, None))
    assert token.method.last4 == "4242"


async def test_a_number_that_is_none_is_refused(subject: Subject) -> None:
    with pytest.raises(RefusedError) as refusal:
        await subject.gateway.create_token(_card(subject.misspelt_card))
    assert refusal.value.code == "incorrect_number"


async def test_an_expired_card_is_refused(subject: Subject) -> None:
    with pytest.raises(RefusedError) as refusal:
        await subject.gateway.create_token(Card(subject.good_card, 1, 2020, "123"))
    assert refusal.value.code == "invalid_expiry_year"


# Authorizations


async def test_a_good_card_holds_the_money_and_takes_none(subject: Subject, order_id: str) -> None:
    seen = await _authorize(subject, order_id, subject.good_card)
    assert (seen.status, seen.order_id) == (Status.AUTHORIZED, order_id)
    assert (seen.amount, seen.authorized, seen.captured) == (PRICE, 4999, 0)
    assert seen.method == PaymentMethod("credit_card", "visa", "4242")
    assert seen.capture_before is not None
    assert seen.capture_before > datetime.now(UTC) + timedelta(days=1)
    assert await subject.charges(order_id) == HELD


@pytest.mark.parametrize(
    ("card", "code", "retryable"),
    [("poor_card", "insufficient_funds", True), ("lost_card", "lost_card", False)],
)
async def test_a_decline_is_an_answer(
    subject: Subject, order_id: str, card: str, code: str, retryable: bool
) -> None:
    seen = await _authorize(subject, order_id, getattr(subject, card))
    assert (seen.status, seen.order_id, seen.authorized) == (Status.DECLINED, order_id, 0)
    assert seen.decline is not None
    assert (seen.decline.code, seen.decline.retryable) == (code, retryable)
    assert seen.decline.message
    assert seen.method is not None
    assert seen.method.last4 == getattr(subject, card)[-4:]
    assert await subject.charges(order_id) == Charges(payments=1)


async def test_another_card_pays_the_same_payment_after_a_decline(
    subject: Subject, order_id: str
) -> None:
    declined = await _authorize(subject, order_id, subject.poor_card)
    request = await _request(
        subject, order_id, subject.good_card, transaction_id=declined.transaction_id
    )
    seen = await subject.gateway.authorize(request, key=f"{order_id}:authorize:2")
    assert (seen.status, seen.transaction_id) == (Status.AUTHORIZED, declined.transaction_id)
    assert seen.decline is None
    assert await subject.charges(order_id) == HELD


async def test_a_payment_that_holds_money_cannot_be_authorized_again(
    subject: Subject, order_id: str
) -> None:
    transaction_id = await _held(subject, order_id)
    request = await _request(subject, order_id, subject.good_card, transaction_id=transaction_id)
    seen = await subject.gateway.authorize(request, key=f"{order_id}:authorize:2")
    assert (seen.status, seen.transaction_id) == (Status.AUTHORIZED, transaction_id)
    assert await subject.charges(order_id) == HELD


@pytest.mark.parametrize("card", ["good_card", "poor_card"])
async def test_the_same_key_gives_the_same_answer(
    subject: Subject, order_id: str, card: str
) -> None:
    request = await _request(subject, order_id, getattr(subject, card))
    answers = [await subject.gateway.authorize(request, key=order_id) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert await subject.charges(order_id) == (HELD if card == "good_card" else Charges(payments=1))


async def test_the_same_key_at_once_charges_once(subject: Subject, order_id: str) -> None:
    request = await _request(subject, order_id, subject.good_card)
    answers = await asyncio.gather(
        *(subject.gateway.authorize(request, key=order_id) for _ in range(5)),
        return_exceptions=True,
    )
    unsure = [answer for answer in answers if isinstance(answer, BaseException)]
    assert all(isinstance(answer, OutcomeUnknownError) for answer in unsure)
    assert (await subject.gateway.authorize(request, key=order_id)).status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_a_key_used_for_something_else_is_refused(subject: Subject, order_id: str) -> None:
    await subject.gateway.authorize(
        await _request(subject, order_id, subject.good_card), key=order_id
    )
    with pytest.raises(RefusedError):
        await subject.gateway.authorize(
            await _request(subject, order_id, subject.poor_card), key=order_id
        )
    assert await subject.charges(order_id) == HELD


async def test_a_token_nobody_made_is_refused(subject: Subject, order_id: str) -> None:
    with pytest.raises(RefusedError):
        await subject.gateway.authorize(
            AuthorizeRequest(order_id, PRICE, "token_of_nobody"), key=order_id
        )
    assert await subject.charges(order_id) == Charges()


@pytest.mark.parametrize(
    ("return_url", "action"),
    [("https://shop.example/return", "redirect"), (None, "use_gateway_sdk")],
)
async def test_a_challenged_card_says_what_the_shopper_has_to_do(
    subject: Subject, order_id: str, return_url: str | None, action: str
) -> None:
    request = await _request(subject, order_id, subject.challenged_card, return_url=return_url)
    seen = await subject.gateway.authorize(request, key=order_id)
    assert (seen.status, seen.authorized) == (Status.REQUIRES_ACTION, 0)
    assert seen.next_action is not None
    assert seen.next_action.type == action
    assert (seen.next_action.url is None) == (return_url is None)
    assert (seen.next_action.client_secret is None) == (return_url is not None)
    assert (await subject.charges(order_id)).held == 0


def test_an_amount_too_small_to_charge_is_said_beforehand(subject: Subject) -> None:
    subject.gateway.check_amount(PRICE)
    with pytest.raises(InvalidAmountError, match=r"0\.01 USD"):
        subject.gateway.check_amount(Money(1, "usd"))


# Looking up


async def test_a_payment_is_found_by_its_order_or_its_own_id(
    subject: Subject, order_id: str
) -> None:
    authorized = await _authorize(subject, order_id, subject.good_card)
    assert await subject.gateway.look_up(order_id, None, _since()) == authorized
    assert (
        await subject.gateway.look_up(order_id, authorized.transaction_id, _since()) == authorized
    )


async def test_an_order_the_gateway_never_heard_of_is_not_found(
    subject: Subject, order_id: str
) -> None:
    assert await subject.gateway.look_up(order_id, None, _since()) is None


async def test_a_payment_is_found_behind_a_hundred_others(subject: Subject, order_id: str) -> None:
    authorized = await _authorize(subject, order_id, subject.good_card)
    token = (await subject.gateway.create_token(_card(subject.lost_card))).id
    for batch in range(11):
        await asyncio.gather(
            *(
                subject.gateway.authorize(
                    AuthorizeRequest(f"{order_id}-{batch}-{n}", PRICE, token),
                    key=f"{order_id}-{batch}-{n}",
                )
                for n in range(10)
            )
        )
    assert await subject.gateway.look_up(order_id, None, _since()) == authorized
    assert await subject.gateway.look_up(f"{order_id}-x", None, _since()) is None


async def test_of_two_payments_for_an_order_the_one_with_the_money_is_found(
    subject: Subject, order_id: str
) -> None:
    paid = await _authorize(subject, order_id, subject.good_card)
    request = await _request(subject, order_id, subject.poor_card)
    await subject.gateway.authorize(request, key=f"{order_id}:again")
    assert await subject.gateway.look_up(order_id, None, _since()) == paid


# Capture, void, refund


async def test_captured_twice_is_taken_once(subject: Subject, order_id: str) -> None:
    transaction_id = await _held(subject, order_id)
    for key in ("capture:1", "capture:1", "capture:2"):
        seen = await subject.gateway.capture(transaction_id, PRICE, key=f"{order_id}:{key}")
        assert (seen.status, seen.captured) == (Status.CAPTURED, 4999)
    assert await subject.charges(order_id) == TAKEN


async def test_capturing_a_part_releases_the_rest(subject: Subject, order_id: str) -> None:
    transaction_id = await _held(subject, order_id)
    seen = await subject.gateway.capture(transaction_id, PRICE.of(999), key=order_id)
    assert (seen.status, seen.amount, seen.captured) == (Status.CAPTURED, PRICE, 999)
    charges = await subject.charges(order_id)
    assert (charges.captured, charges.held) == (999, 0)


async def test_what_was_voided_stays_voided(subject: Subject, order_id: str) -> None:
    transaction_id = await _held(subject, order_id)
    for key in ("void:1", "void:1", "void:2"):
        seen = await subject.gateway.void(transaction_id, key=f"{order_id}:{key}")
        assert (seen.status, seen.authorized) == (Status.VOIDED, 0)
    seen = await subject.gateway.capture(transaction_id, PRICE, key=f"{order_id}:capture:1")
    assert (seen.status, seen.captured) == (Status.VOIDED, 0)
    assert await subject.charges(order_id) == Charges(payments=1, authorizations=1)


async def test_what_was_captured_cannot_be_voided(subject: Subject, order_id: str) -> None:
    transaction_id = await _taken(subject, order_id)
    seen = await subject.gateway.void(transaction_id, key=f"{order_id}:void:1")
    assert (seen.status, seen.captured) == (Status.CAPTURED, 4999)
    assert await subject.charges(order_id) == TAKEN


async def test_a_declined_payment_can_be_voided(subject: Subject, order_id: str) -> None:
    declined = await _authorize(subject, order_id, subject.poor_card)
    seen = await subject.gateway.void(declined.transaction_id, key=f"{order_id}:void:1")
    assert seen.status is Status.VOIDED


async def test_money_goes_back_once_for_each_key(subject: Subject, order_id: str) -> None:
    transaction_id = await _taken(subject, order_id)
    first = await subject.gateway.refund(transaction_id, PRICE.of(1999), key=f"{order_id}:1")
    assert (first.amount, first.status) == (PRICE.of(1999), "succeeded")
    assert await subject.gateway.refund(transaction_id, PRICE.of(1999), key=f"{order_id}:1") == (
        first
    )
    second = await subject.gateway.refund(transaction_id, PRICE.of(3000), key=f"{order_id}:2")
    assert second.refund_id != first.refund_id
    charges = await subject.charges(order_id)
    assert (charges.refunds, charges.refunded) == (2, 4999)


async def test_no_more_goes_back_than_was_taken(subject: Subject, order_id: str) -> None:
    transaction_id = await _taken(subject, order_id)
    with pytest.raises(RefusedError):
        await subject.gateway.refund(transaction_id, PRICE.of(5000), key=order_id)
    assert await subject.charges(order_id) == TAKEN


async def test_money_that_was_not_taken_cannot_go_back(subject: Subject, order_id: str) -> None:
    transaction_id = await _held(subject, order_id)
    with pytest.raises(RefusedError):
        await subject.gateway.refund(transaction_id, PRICE, key=order_id)
    assert await subject.charges(order_id) == HELD


# Faults


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop", "mode": "before"},
        {"action": "drop", "mode": "after"},
        {"status": 500, "mode": "before"},
        {"status": 503, "mode": "before"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
async def test_a_charge_that_may_have_been_made_is_unknown_and_made_once_in_the_end(
    subject: Subject, order_id: str, fault: dict[str, object]
) -> None:
    request = await _request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, **fault)
    with pytest.raises(OutcomeUnknownError):
        await subject.gateway.authorize(request, key=order_id)
    assert (await subject.gateway.authorize(request, key=order_id)).status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_an_answer_that_does_not_come_in_time_is_unknown(
    subject: Subject, order_id: str
) -> None:
    request = await _request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, action="hang", mode="after", seconds=0.6)
    with pytest.raises(OutcomeUnknownError):
        await subject.impatient.authorize(request, key=order_id)
    found = await subject.gateway.look_up(order_id, None, _since())
    assert found is not None
    assert found.status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_a_stored_failure_comes_back_for_ever_but_looking_up_finds_the_truth(
    subject: Subject, order_id: str
) -> None:
    request = await _request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, status=500, mode="after")
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError):
            await subject.gateway.authorize(request, key=order_id)
    found = await subject.gateway.look_up(order_id, None, _since())
    assert found is not None
    assert (found.status, found.authorized) == (Status.AUTHORIZED, 4999)
    assert await subject.charges(order_id) == HELD


async def test_a_gateway_that_is_too_busy_has_done_nothing(subject: Subject, order_id: str) -> None:
    request = await _request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, status=429)
    with pytest.raises(UnavailableError):
        await subject.gateway.authorize(request, key=order_id)
    assert await subject.charges(order_id) == Charges()
    assert (await subject.gateway.authorize(request, key=order_id)).status is Status.AUTHORIZED


async def test_a_gateway_that_cannot_be_reached_is_unavailable(
    subject: Subject, order_id: str
) -> None:
    gateway = subject.unreachable
    for call in (
        gateway.create_token(_card(subject.good_card)),
        gateway.authorize(AuthorizeRequest(order_id, PRICE, "pm_card_visa"), key=order_id),
        gateway.look_up(order_id, None, _since()),
        gateway.capture("pi_1", PRICE, key=order_id),
        gateway.void("pi_1", key=order_id),
        gateway.refund("pi_1", PRICE, key=order_id),
    ):
        with pytest.raises(UnavailableError):
            await call


@pytest.mark.parametrize("what", ["capture", "void", "refund"])
@pytest.mark.parametrize("mode", ["before", "after"])
async def test_a_lost_answer_about_held_or_taken_money_is_asked_for_again(
    subject: Subject, order_id: str, what: str, mode: str
) -> None:
    held = await (_taken if what == "refund" else _held)(subject, order_id)

    async def ask() -> object:
        if what == "void":
            return await subject.gateway.void(held, key=order_id)
        work = subject.gateway.capture if what == "capture" else subject.gateway.refund
        return await work(held, PRICE, key=order_id)

    await subject.fault("/v1/", action="drop", mode=mode)
    with pytest.raises(OutcomeUnknownError):
        await ask()
    assert await ask() == await ask()
    charges = await subject.charges(order_id)
    assert charges.held == 0
    assert (charges.captures, charges.refunds) == {
        "capture": (1, 0),
        "void": (0, 0),
        "refund": (1, 1),
    }[what]
