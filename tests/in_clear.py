"""Looking for what Temporal keeps in clear: in its database, and in what it tells."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import Client

from app.temporal.codec import ENCODING

_OF_THE_SDK = frozenset({"data", "patch-data"})
_ENCODED_FAILURE = "Encoded failure"  # what the SDK puts in the place of every message


def found_in(database: Path, texts: dict[str, str]) -> set[str]:
    """Which of `texts`, by their names, stand in Temporal's SQLite database: in its files, its
    write-ahead log among them, or in any cell of any table."""
    found: set[str] = set()
    for held in _contents(database):
        found |= {name for name, text in texts.items() if text.encode() in held}
    return found


def _contents(database: Path) -> Iterator[bytes]:
    for file in database.parent.glob(f"{database.name}*"):
        yield file.read_bytes()
    # A value that does not fit into a page of the file is in pieces there.
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in opened.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own tables
                for cell in row:
                    if isinstance(cell, str | bytes):
                        yield cell.encode() if isinstance(cell, str) else cell


def in_clear(told: Message) -> Iterator[str]:
    """What is in clear in a message of Temporal's: every payload that is not encrypted, and every
    failure of ours that says why."""
    for part in _parts(told):
        if isinstance(part, Payload) and part.metadata.get("encoding") != ENCODING:
            yield str(part)
        if isinstance(part, Failure) and _speaks(part):
            yield str(part)


def payloads(told: Message) -> Iterator[Payload]:
    """Every payload in it that is encrypted."""
    for part in _parts(told):
        if isinstance(part, Payload) and part.metadata.get("encoding") == ENCODING:
            yield part


async def decrypted(client: Client, told: Iterable[Message]) -> bytes:
    """What is encrypted in those messages, as the client's keys open it."""
    codec = client.data_converter.payload_codec
    assert codec is not None
    opened = await codec.decode([payload for each in told for payload in payloads(each)])
    return b"\n".join(payload.data for payload in opened)


def _parts(told: Message) -> Iterator[Message]:
    """The message and all messages in it, but for search attributes, which are what a workflow is
    found by, and what the SDK notes of its own at a marker: names, numbers and times."""
    if isinstance(told, SearchAttributes):
        return
    yield told
    if isinstance(told, MarkerRecordedEventAttributes):
        told = MarkerRecordedEventAttributes(
            details={name: told.details[name] for name in told.details.keys() - _OF_THE_SDK},
            failure=told.failure,
        )
    for field, value in told.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = value.values()
        else:
            values = value if field.is_repeated else [value]
        for each in values:
            if isinstance(each, Message):
                yield from _parts(each)


def _speaks(failure: Failure) -> bool:
    """Whether it says something of ours. The server's own failures name only its own things."""
    ours = failure.HasField("application_failure_info")
    return bool(failure.stack_trace) or (ours and failure.message != _ENCODED_FAILURE)
