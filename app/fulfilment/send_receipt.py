"""Mail the shopper a receipt, and a withdrawal of it if the order is undone after all."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage

import aiosmtplib
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, update

from app.db.engine import transaction
from app.db.tables import ReceiptRow
from app.domain.fulfilment import Phase, StepPlan, StepRefusedError, StepUnavailableError
from app.domain.order import Order


@dataclass(frozen=True)
class MailServer:
    """Where mail goes out, and in whose name."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: str | None = None
    tls: bool = False


class SendReceipt:
    """One receipt an order. A withdrawn one stays as a row, so that a late `run` finds it.

    SMTP cannot promise exactly once: a crash between sending and noting it sends the mail again,
    under the same Message-ID.
    """

    plan = StepPlan("send_receipt", Phase.AFTER_CAPTURE, essential=False)

    def __init__(self, engine: AsyncEngine, server: MailServer) -> None:
        self._engine = engine
        self._server = server

    async def run(self, order: Order) -> str:
        if order.customer_email is None:
            return "no address to mail to"
        message_id = self._message_id(order, "receipt")
        async with transaction(self._engine) as session:
            sent = await session.get(ReceiptRow, order.order_id)
        if sent is not None and sent.withdrawn_at is not None:
            raise StepRefusedError("the receipt was already withdrawn")
        if sent is None:
            await self._send(
                order,
                message_id,
                f"Your receipt for order {order.order_id}",
                f"Thank you. We received {order.amount} for order {order.order_id}.\n",
            )
            async with transaction(self._engine) as session:
                await session.exec(
                    insert(ReceiptRow)
                    .values(order_id=order.order_id, message_id=message_id)
                    .on_conflict_do_nothing()
                )
        return message_id

    async def undo(self, order: Order) -> None:
        if order.customer_email is None:
            return
        message_id = self._message_id(order, "receipt")
        async with transaction(self._engine) as session:
            never_sent = await session.exec(
                insert(ReceiptRow)
                .values(order_id=order.order_id, message_id=message_id, withdrawn_at=func.now())
                .on_conflict_do_nothing()
                .returning(col(ReceiptRow.order_id))
            )
            if never_sent.first() is not None:
                return
            sent = await session.get_one(ReceiptRow, order.order_id)
        if sent.withdrawn_at is not None:
            return
        await self._send(
            order,
            self._message_id(order, "withdrawal"),
            f"Order {order.order_id} was canceled",
            f"We are sorry: order {order.order_id} was canceled and {order.amount} goes back to "
            "you. Please disregard the receipt.\n",
        )
        async with transaction(self._engine) as session:
            await session.exec(
                update(ReceiptRow)
                .where(col(ReceiptRow.order_id) == order.order_id)
                .values(withdrawn_at=func.now())
            )

    def _message_id(self, order: Order, kind: str) -> str:
        return f"<{kind}.{order.order_id}@{self._server.sender.rpartition('@')[2]}>"

    async def _send(self, order: Order, message_id: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = order.customer_email
        message["Subject"] = subject
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = message_id
        message.set_content(text)
        try:
            await aiosmtplib.send(
                message,
                hostname=self._server.host,
                port=self._server.port,
                username=self._server.username,
                password=self._server.password,
                use_tls=self._server.tls,
                timeout=10,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            # The cause may hold the shopper's address.
            raise _translated(error, order.customer_email or "") from None


def _translated(error: Exception, address: str) -> Exception:
    """SMTP: 5xx is for good, 4xx and silence are for now."""
    if isinstance(error, aiosmtplib.SMTPNotSupported) and not address.isascii():
        return StepRefusedError("the mail server takes no addresses beyond ASCII (SMTPUTF8)")
    code = getattr(error, "code", None)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        code = error.recipients[0].code
    if code is None:
        return StepUnavailableError(f"the mail server cannot be reached: {type(error).__name__}")
    if 500 <= code < 600:
        return StepRefusedError(f"the mail server refused the mail: SMTP {code}")
    return StepUnavailableError(f"the mail server did not take the mail: SMTP {code}")
