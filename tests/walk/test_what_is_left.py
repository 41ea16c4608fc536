"""After everything: no card number and no security code anywhere, in any way of writing it; and a
ledger that agrees with its facts.

The last file of the last folder, so that whatever the tests before it sent has left its traces.
"""

import asyncio
import os

from app.db import ledger_check
from app.db.engine import create_engine
from tests.sweep.canaries import Canary
from tests.sweep.finding import Search
from tests.sweep.paths import QUIET, send
from tests.sweep.places import in_files, while_it_runs
from tests.sweep.writings import WRITINGS
from tests.walk.cards import KNOWN, canary
from tests.walk.running import PLANTED, Running, new_order, request

# Of the others some occur by chance: a test number of the gateway's is mostly zeros.
_LOOKED_FOR = ("raw", "spaced", "dashed", "base64", "hexadecimal", "URL-encoded", "UTF-16")

_ROOTS = ["the memory of the codec server", "the memory of the worker"] if os.geteuid() == 0 else []


async def test_no_card_is_left_anywhere(running: Running) -> None:
    """The short form of `make sweep`: along each path that breaks nothing, and after all that the
    other tests have sent."""
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
    assert {place: what & leaks for place, what in found.items() if what & leaks} == {}
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


async def test_whatever_was_paid_and_given_back_the_ledger_agrees_with_its_facts(
    running: Running,
) -> None:
    order_id = new_order("booked")
    await running.initiate(request(order_id))
    await running.until(order_id)
    engine = create_engine(running.stack.postgres.url)
    try:
        pages = [page async for page in ledger_check.check(engine)]
    finally:
        await engine.dispose()
    assert [found for page in pages for found in page.differences] == []
    [(orders,)] = await running.query("SELECT count(DISTINCT order_id) FROM journal")
    assert 0 < orders <= sum(page.orders for page in pages)
    sums = "SELECT currency, sum(amount) FROM journal GROUP BY currency HAVING sum(amount) <> 0"
    assert await running.query(sums) == []
