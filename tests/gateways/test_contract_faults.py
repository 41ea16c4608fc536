"""What the house relies on when a gateway, or the way to it, fails."""

import pytest

from app.domain.gateway import AuthorizeRequest, OutcomeUnknownError, Status, UnavailableError
from app.domain.methods import Method
from app.domain.reversals import refund_name
from tests.gateways.asking import HELD, PRICE, card, held, request, since, taken
from tests.gateways.subject import Charges, Subject

NAME = refund_name("contract", "first")


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
    asked = await request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, **fault)
    with pytest.raises(OutcomeUnknownError):
        await subject.gateway.authorize(asked, key=order_id)
    assert (await subject.gateway.authorize(asked, key=order_id)).status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_an_answer_that_does_not_come_in_time_is_unknown(
    subject: Subject, order_id: str
) -> None:
    asked = await request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, action="hang", mode="after", seconds=0.6)
    with pytest.raises(OutcomeUnknownError):
        await subject.impatient.authorize(asked, key=order_id)
    found = await subject.gateway.look_up(order_id, None, since())
    assert found is not None
    assert found.status is Status.AUTHORIZED
    assert await subject.charges(order_id) == HELD


async def test_a_stored_failure_comes_back_for_ever_but_looking_up_finds_the_truth(
    subject: Subject, order_id: str
) -> None:
    asked = await request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, status=500, mode="after")
    for _ in range(3):
        with pytest.raises(OutcomeUnknownError):
            await subject.gateway.authorize(asked, key=order_id)
    found = await subject.gateway.look_up(order_id, None, since())
    assert found is not None
    assert (found.status, found.authorized) == (Status.AUTHORIZED, 4999)
    assert await subject.charges(order_id) == HELD


async def test_a_gateway_that_is_too_busy_has_done_nothing(subject: Subject, order_id: str) -> None:
    asked = await request(subject, order_id, subject.good_card)
    await subject.fault(subject.authorize_path, status=429)
    with pytest.raises(UnavailableError):
        await subject.gateway.authorize(asked, key=order_id)
    assert await subject.charges(order_id) == Charges()
    assert (await subject.gateway.authorize(asked, key=order_id)).status is Status.AUTHORIZED


async def test_a_gateway_that_cannot_be_reached_is_unavailable(
    subject: Subject, order_id: str
) -> None:
    gateway = subject.unreachable
    asked = AuthorizeRequest(order_id, PRICE, Method.CREDIT_CARD, "pm_card_visa")
    for call in (
        gateway.create_token(card(subject.good_card)),
        gateway.read_token("pm_card_visa"),
        gateway.create_customer("customer-1", key=order_id),
        gateway.saved_methods("cus_1"),
        gateway.authorize(asked, key=order_id),
        gateway.look_up(order_id, None, since()),
        gateway.capture("pi_1", PRICE, key=order_id),
        gateway.void("pi_1", key=order_id),
        gateway.refund(order_id, "pi_1", PRICE, NAME, key=order_id),
        gateway.look_up_refund("pi_1", NAME),
        gateway.look_up_dispute("du_1"),
    ):
        with pytest.raises(UnavailableError):
            await call


@pytest.mark.parametrize("what", ["capture", "void", "refund"])
@pytest.mark.parametrize("mode", ["before", "after"])
async def test_a_lost_answer_about_held_or_taken_money_is_asked_for_again(
    subject: Subject, order_id: str, what: str, mode: str
) -> None:
    gateway = subject.gateway
    transaction_id = await (taken if what == "refund" else held)(subject, order_id)

    async def ask() -> object:
        if what == "void":
            return await gateway.void(transaction_id, key=order_id)
        if what == "capture":
            return await gateway.capture(transaction_id, PRICE, key=order_id)
        made = await gateway.refund(order_id, transaction_id, PRICE, NAME, key=order_id)
        return made.refund_id

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
