"""A real SMTP server on this machine that keeps what it takes."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Self

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Set `answer` to have recipients refused: `550 no such user` for good, `450 …` for now. Unset
    `utf8` for a server that takes only ASCII addresses."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.answer: str | None = None
        self.utf8 = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, enable_SMTPUTF8=self.utf8), self.host, 0
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        await self._server.wait_closed()

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    async def handle_RCPT(  # noqa: N802 - the server calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: object
    ) -> str:
        if self.answer is not None:
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the server calls it by this name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"
