"""The short form of `make sweep`: after everything, no card number and no security code anywhere,
in any way of writing it."""

import asyncio
import os

from tests.sweep.canaries import Canary
from tests.sweep.finding import Search
from tests.sweep.paths import QUIET, send
from tests.sweep.places import in_files, while_it_runs
from tests.sweep.writings import WRITINGS
from tests.walk.cards import KNOWN, canary
from tests.walk.running import PLANTED, Running

# Of the others some occur by chance: a test number of the gateway's is mostly zeros.
_LOOKED_FOR = ("raw", "spaced", "dashed", "base64", "hexadecimal", "URL-encoded", "UTF-16")

_ROOTS = ["the memory of the codec server", "the memory of the worker"] if os.geteuid() == 0 else []


async def no_card_is_left(running: Running) -> None:
    """Along each path that breaks nothing, and after all that other tests have sent."""
    cards = [Canary(canary(), str(code)) for code in range(100, 100 + len(QUIET))]
    assert await send(running, QUIET, cards) == []
    search = Search(
        [*KNOWN, PLANTED],
        {card.code for card in cards},
        {name: WRITINGS[name] for name in _LOOKED_FOR},
    )
    found = await while_it_runs(running, search)
    found |= await asyncio.to_thread(in_files, running.stack.folder, search)

    planted = {place for place, what in found.items() if f"{PLANTED} raw" in what}
    assert planted == {
        "command lines and environments",
        "the memory of PostgreSQL",
        "the memory of Temporal",
        "the memory of the mail server",
        *_ROOTS,
    }
    leaks = {each for what in found.values() for each in what if not each.startswith(PLANTED)}
    leaked = {place: what & leaks for place, what in found.items() if what & leaks}
    assert leaked == {}, leaked
    assert found.keys() >= planted | {
        "PostgreSQL's files",
        "PostgreSQL's write-ahead log",
        "Temporal's files",
        "Temporal's histories, decrypted",
        "Temporal's tables",
        "a dump of the database",
        "other files",
        "the API's answers",
        "the log of api",
        "the log of codec",
        "the log of mail",
        "the log of migrate",
        "the log of postgres",
        "the log of sandbox",
        "the log of temporal",
        "the log of worker",
        "the mails",
        "the sandbox's files",
    }
