"""Every exchange as a line of JSON, card and account numbers and security codes blotted out."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from sandbox.blot import BLOT, blotted
from sandbox.store import Json

_SECRET_NAME = re.compile(r"(^|\[)(number|cvc|iban|account_number)\]?$")


class Recorder:
    """Appends to a file; without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("a", encoding="utf-8", buffering=1)

    def write(self, method: str, path: str, form: str | None, status: int, response: Json) -> None:
        if self._file is None:
            return
        exchange = {
            "method": method,
            "path": blotted(path),
            "form": None if form is None else _masked(form),
            "status": status,
            "response": response,
        }
        self._file.write(json.dumps(exchange) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _masked(form: str) -> str:
    pairs = parse_qsl(form, keep_blank_values=True, errors="replace")
    return urlencode([(blotted(name), _value(name, value)) for name, value in pairs])


def _value(name: str, value: str) -> str:
    return BLOT if _SECRET_NAME.search(name) else blotted(value)
