"""A mail server that keeps every message in a folder, as a part of the stack."""

import asyncio
import sys
from pathlib import Path

from app.embedded.part import Part
from app.embedded.ports import HOST


class MailPart(Part):
    """SMTP into the Maildir `folder`/mail; nothing is ever delivered."""

    name = "mail"
    title = "Mail server"

    def __init__(self, folder: Path, port: int) -> None:
        self.maildir = folder.absolute() / "mail"
        self.port = port

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "aiosmtpd",
            "--nosetuid",
            f"--listen={HOST}:{self.port}",
            "--class=aiosmtpd.handlers.Mailbox",
            str(self.maildir),
        ]

    def doors(self) -> dict[int, str]:
        return {self.port: "the mail server"}

    async def ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            return (await reader.readline()).startswith(b"220")
        finally:
            writer.close()
