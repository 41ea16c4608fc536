"""The shopper's mail, through a real mail server."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.fulfilment import StepRefusedError, StepUnavailableError
from app.domain.order import Order
from app.fulfilment.send_receipt import MailServer, SendReceipt
from tests.fulfilment.mailbox import Mailbox


@pytest.fixture
def send_receipt(engine: AsyncEngine, mailbox: Mailbox) -> SendReceipt:
    return SendReceipt(engine, MailServer(mailbox.host, mailbox.port, "orders@shop.example"))


async def test_the_receipt_says_what_was_paid_for_which_order(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    reference = await send_receipt.run(order)
    [mail] = mailbox.received
    assert (mail["From"], mail["To"]) == ("orders@shop.example", "shopper@example.com")
    assert mail["Subject"] == "Your receipt for order order-1"
    assert mail["Message-ID"] == reference == "<receipt.order-1@shop.example>"
    assert mail["Date"].datetime.tzinfo is not None
    assert "49.99 USD for order order-1" in mail.get_content()


async def test_a_withdrawal_follows_a_receipt(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    await send_receipt.run(order)
    await send_receipt.undo(order)
    receipt, withdrawal = mailbox.received
    assert withdrawal["To"] == receipt["To"]
    assert withdrawal["Subject"] == "Order order-1 was canceled"
    assert withdrawal["Message-ID"] != receipt["Message-ID"]
    assert "49.99 USD goes back" in withdrawal.get_content()


async def test_a_shopper_without_an_address_gets_no_mail(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    unknown = replace(order, customer_email=None)
    assert await send_receipt.run(unknown) == "no address to mail to"
    await send_receipt.undo(unknown)
    assert mailbox.received == []


async def test_an_address_that_was_forgotten_holds_nothing_up(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    await send_receipt.run(order)
    forgotten = replace(order, customer_email=None)
    assert await send_receipt.run(forgotten) == "no address to mail to"
    await send_receipt.undo(forgotten)
    assert len(mailbox.received) == 1


async def test_an_address_that_is_refused_is_refused_for_good(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    mailbox.answer = "550 No such user"
    with pytest.raises(StepRefusedError, match="SMTP 550") as refusal:
        await send_receipt.run(order)
    assert "shopper" not in str(refusal.value)
    assert refusal.value.__cause__ is None


async def test_a_server_that_is_busy_gets_the_mail_later(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    mailbox.answer = "450 Try again later"
    with pytest.raises(StepUnavailableError, match="SMTP 450") as failure:
        await send_receipt.run(order)
    assert "shopper" not in str(failure.value)
    assert failure.value.__cause__ is None
    mailbox.answer = None
    await send_receipt.run(order)
    assert len(mailbox.received) == 1


async def test_a_server_that_is_away_gets_the_mail_later(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    mailbox.close()
    with pytest.raises(StepUnavailableError):
        await send_receipt.run(order)


async def test_an_international_address_gets_its_mail(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    await send_receipt.run(replace(order, customer_email="käufer@example.com"))
    [mail] = mailbox.received
    assert mail["To"] == "käufer@example.com"


async def test_an_international_address_is_refused_for_good_by_an_old_server(
    send_receipt: SendReceipt, mailbox: Mailbox, order: Order
) -> None:
    mailbox.utf8 = False
    with pytest.raises(StepRefusedError, match="SMTPUTF8") as refusal:
        await send_receipt.run(replace(order, customer_email="käufer@example.com"))
    assert "käufer" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert mailbox.received == []
