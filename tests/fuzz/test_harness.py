"""What is planted in a small API is found, each at its door, and a sound door is let be."""

import asyncio

import pytest

from app.embedded.credentials import Credentials
from fuzz import turn
from fuzz.beyond import no_schema_says
from fuzz.plan import EVERY_PHASE, Plan
from fuzz.signing import Signature
from fuzz.tally import Tally
from fuzz.visitors import Visitor
from tests.fuzz.small_api import serving, small_api

_SOMEBODY = Visitor("somebody", "key-of-somebody", live=True)


async def fuzzed(*, planted: bool) -> Tally:
    tally = Tally()
    async with serving(small_api(planted=planted)) as url:
        plan = Plan(url, ["order-1"], 1, 3, EVERY_PHASE, Signature(Credentials.new()))
        schema = await asyncio.to_thread(plan.schema, _SOMEBODY)
        await asyncio.to_thread(turn.take, _SOMEBODY, schema, tally)
    return tally


@pytest.fixture(scope="module")
async def tally() -> Tally:
    return await fuzzed(planted=True)


@pytest.mark.parametrize(
    ("door", "check"),
    [
        ("/broken", "not_a_server_error"),
        ("/another-status", "status_code_conformance"),
        ("/another-shape", "response_schema_conformance"),
        ("/another-problem", "problem_conformance"),
        ("/takes-anything", "negative_data_rejection"),
        ("/refuses-what-it-allows", "positive_data_acceptance"),
        ("/without-a-lock", "ignored_auth"),
    ],
)
def test_a_planted_defect_is_found_at_its_door(tally: Tally, door: str, check: str) -> None:
    assert check in {each.check for each in tally.findings if each.door == f"GET {door}"}


def test_what_was_found_is_counted_and_told(tally: Tally) -> None:
    assert not tally.clean
    assert tally.server_errors == tally.statuses[500] > 0
    assert tally.undocumented > 0
    *_, last = tally.lines()
    assert last == (
        f"fuzz: {tally.requests} requests ({tally.with_key} with a key, "
        f"{tally.requests - tally.with_key} without): {tally.server_errors} answers of 5xx, "
        f"{tally.undocumented} undocumented"
    )
    assert 0 < tally.with_key < tally.requests  # a check took the key away


def test_a_sound_door_is_let_be(tally: Tally) -> None:
    assert [str(each) for each in tally.findings if each.door == "GET /sound"] == []


async def test_a_sound_api_is_clean() -> None:
    tally = await fuzzed(planted=False)
    assert tally.clean, "\n".join(tally.lines())
    assert {200, 400, 405} <= tally.statuses.keys()


def test_a_run_without_an_answer_is_not_clean() -> None:
    assert not Tally().clean


@pytest.mark.parametrize(
    ("messages", "excused"),
    [
        (["this is not a valid card number"], True),
        (["the smallest charge is 0.50 USD; 0.01 USD was asked"], True),
        (["Input should be a valid string"], False),
        (["this is not a valid card number", "Input should be a valid string"], False),
        ([], False),
    ],
)
def test_only_what_no_schema_can_say_excuses_a_refusal(messages: list[str], excused: bool) -> None:
    errors = [{"location": "amount", "message": message} for message in messages]
    told = {"type": "/problems/invalid-request", "errors": errors}
    assert no_schema_says(told) is excused
