"""The secrets of one embedded stack: made up once, kept in its data folder."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from app.embedded.errors import StackError


@dataclass(frozen=True)
class Credentials:
    """What the API, the worker and the sandbox trust each other by."""

    stripe_api_key: str
    stripe_webhook_secret: str
    callback_secret: str
    encryption_keys: str

    @classmethod
    def new(cls) -> Self:
        return cls(
            stripe_api_key=f"sk_test_sandbox{secrets.token_hex(16)}",
            stripe_webhook_secret=f"whsec_{secrets.token_hex(24)}",
            callback_secret=f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
            encryption_keys=f"embedded:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        )

    @classmethod
    def kept_in(cls, folder: Path) -> Self:
        """The folder's credentials; those that it does not have yet are made now."""
        file = folder / "secrets.json"
        new = asdict(cls.new())
        try:
            kept = json.loads(file.read_text()) if file.exists() else {}
            credentials = cls(**{**new, **kept})
        except (ValueError, TypeError):
            raise StackError(f"cannot read {file}; delete it to have new secrets made") from None
        if kept.keys() != new.keys():
            _write_private(file, json.dumps(asdict(credentials), indent=2) + "\n")
        return credentials


def _write_private(file: Path, text: str) -> None:
    """Write a file only its owner may read, all of it or nothing."""
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    unfinished.rename(file)
