"""python -m tests.sweep: the whole sweep, on a stack of its own.

Each number is sent along a path; then all that can be looked at while the stack runs is looked at,
and, when it has ended, its files. To see that the search finds what there is, a number is planted
in every place, and in one of them in every writing.
"""

import asyncio
import os
import resource
import smtplib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from temporalio.client import Client

from app.embedded.part import ROOT
from app.embedded.ports import HOST, Ports
from app.embedded.stack import Stack
from chaos.unlimited import UNLIMITED
from tests.sweep import places
from tests.sweep.canaries import canaries
from tests.sweep.ending import ending
from tests.sweep.finding import Search
from tests.sweep.paths import EVERY, every_statement_logged, send
from tests.sweep.writings import HASHES, PACKINGS, WRITINGS
from tests.walk.running import Running, new_order

_CARDS = canaries(max(60, len(EVERY)))
# Planted everywhere; encrypted in Temporal's histories; and packed.
_PLANTED, _SEALED, *_PACKED = (card.number for card in canaries(2 + len(PACKINGS), seed=2))
_ENCODINGS = {**WRITINGS, **HASHES}
_TEMPORARY, _DUMPED = "the temporary folder", "what the kernel dumped"


async def main() -> int:
    with TemporaryDirectory(prefix="tillflow-sweep-") as name:
        folder = Path(name)
        temporary, dumps = folder / "temporary", folder / "dumps"
        for each in (temporary, dumps):
            each.mkdir()
        kept = folder / "stack"
        os.environ.update(
            {
                **UNLIMITED,
                "GATEWAY_TIMEOUT_SECONDS": "3",
                "INITIATE_WAIT_SECONDS": "4",
                "PLANTED": _PLANTED,  # in every process's memory
                "SANDBOX_RECORD": str(kept / "exchanges.jsonl"),
                "TMPDIR": str(temporary),
            }
        )
        # Whoever may write a core would.
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        numbers = [card.number for card in _CARDS]
        search = Search(
            [*numbers, _PLANTED, _SEALED, *_PACKED], {card.code for card in _CARDS}, _ENCODINGS
        )
        cores = set(ROOT.glob("core*"))
        async with Stack(kept, Ports.free(), print) as stack:
            await stack.start()
            running = Running(stack)
            async with every_statement_logged(running):
                astray = await send(running, EVERY, _CARDS, print)
            await _plant(running)
            _dump(dumps)
            found = await places.while_it_runs(running, search)
            await running.close()
        _plant_in_files(kept, temporary)
        found |= places.in_files(kept, search)
        found[_TEMPORARY] = search.pieces(places.contents(temporary.iterdir()))
        dumped = [*dumps.iterdir(), *(set(ROOT.glob("core*")) - cores)]
        found[_DUMPED] = search.pieces(places.contents(dumped))

    for error in astray:
        print(f"went astray: {error}")
    leaks = [
        f"{place}: {what}"
        for place, whats in sorted(found.items())
        for what in sorted(whats)
        if not what.startswith((_PLANTED, _SEALED, *_PACKED))
    ]
    print(*(f"found in {leak}" for leak in leaks), sep="\n")
    missed = list(_missed(found))
    print(*(f"planted and not found: {each}" for each in missed), sep="\n")
    planted = len(found) + len(_ENCODINGS) + len(PACKINGS)
    last, status = ending(
        f"sweep: {len(_CARDS)} numbers, {len(EVERY)} paths, {len(found)} places, "
        f"{len(_ENCODINGS) + len(PACKINGS)} encodings: {len(leaks)} found; "
        f"planted leaks found: {planted - len(missed)} of {planted}",
        sound=not (leaks or missed or astray),
        unseen=places.unseen(found),
    )
    print(last)
    return status


async def _plant(running: Running) -> None:
    """In what only a running stack takes."""
    running.answers += _PLANTED.encode()
    url = running.stack.postgres.url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE planted (number text)")
        await connection.execute("INSERT INTO planted VALUES (%s)", [_PLANTED])
    in_clear = await Client.connect(running.stack.temporal.address)
    for client, number in ((in_clear, _PLANTED), (await running.temporal(), _SEALED)):
        await client.start_workflow("Planted", number, id=new_order("planted"), task_queue="none")
    with smtplib.SMTP(HOST, running.stack.mail.port) as mail:
        mail.sendmail("a@example.com", "b@example.com", f"Subject: planted\n\n{_PLANTED}")


def _dump(folder: Path) -> None:
    """Have the kernel write what a program has in memory which does not forbid it."""
    subprocess.run([sys.executable, "-c", "import os; os.abort()"], cwd=folder, check=False)


def _plant_in_files(kept: Path, temporary: Path) -> None:
    """In what has ended."""
    for file in [*(kept / "logs").iterdir(), kept / "exchanges.jsonl", kept / "planted"]:
        with file.open("a") as opened:
            opened.write(_PLANTED)
    with closing(sqlite3.connect(kept / "sandbox.db")) as database, database:
        database.execute("CREATE TABLE planted (number text)")
        database.execute("INSERT INTO planted VALUES (?)", [_PLANTED])
    for name, writing in _ENCODINGS.items():
        (temporary / name).write_bytes(b"\0\n".join(writing(_PLANTED)))
    for (name, pack), number in zip(PACKINGS.items(), _PACKED, strict=True):
        (temporary / name).write_bytes(b"packed: " + pack(number.encode()))


def _missed(found: places.Found) -> Iterator[str]:
    """What was planted and not found."""
    for place, whats in found.items():
        number = _SEALED if "decrypted" in place else _PLANTED
        if not any(what.startswith(number) for what in whats):
            yield place
    for name in _ENCODINGS:
        if f"{_PLANTED} {name}" not in found[_TEMPORARY]:
            yield name
    for name, number in zip(PACKINGS, _PACKED, strict=True):
        if f"{number} raw" not in found[_TEMPORARY]:
            yield name


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
