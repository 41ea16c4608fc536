"""Structured logs, one JSON object a line, without the values of local variables.

Whatever a process says goes through here, its warnings and what nobody caught as well; a card
number that is in it all the same is blotted out.
"""

import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog

from app.domain.card_numbers import blotted, holds_card_number

# Libraries that write requests, and with them card numbers, into their debug logs.
_TALKATIVE = ("stripe", "httpx", "httpcore")


class TalkativeError(Exception):
    """Some library could write card numbers into the log."""


def configure(level: str) -> None:
    """Send every log line of the process to standard output as JSON. Raises TalkativeError."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
    ]
    structlog.configure(
        processors=[*shared[:1], *shared[2:], _blot, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _blot,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    _require_silence()
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    sys.unraisablehook = lambda it: _log_uncaught(it.exc_type, it.exc_value, it.exc_traceback)
    threading.excepthook = lambda it: _log_uncaught(it.exc_type, it.exc_value, it.exc_traceback)


def _require_silence() -> None:
    if os.environ.get("STRIPE_LOG") == "debug":
        raise TalkativeError("STRIPE_LOG=debug would have card numbers written: take it out")
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.partition(".")[0] in _TALKATIVE and logger.isEnabledFor(logging.DEBUG):
            raise TalkativeError(f"the logger {name} at DEBUG would have card numbers written")


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    known = error if error is not None else kind()
    logging.getLogger("uncaught").critical(kind.__name__, exc_info=(kind, known, traceback))


def _blot(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {blotted(str(name)): _blotted(value) for name, value in line.items()}


def _blotted(value: Any) -> Any:
    """What JSON can tell of `value`, without card numbers: in JSON they would be escaped."""
    match value:
        case None | bool():
            return value
        case int() | float():
            return blotted(str(value)) if holds_card_number(str(value)) else value
        case str():
            return blotted(value)
        case Mapping():
            return {blotted(str(name)): _blotted(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_blotted(each) for each in value]
        case _:
            return blotted(repr(value))
