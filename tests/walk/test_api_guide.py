"""docs/api.md and README.md are true: their requests are run, their tables are compared."""

import re
from collections.abc import Iterable, Iterator

import pytest

from app.api.main import create_app
from app.api.problems import Kind
from app.api.schemas import InitiateRequest
from app.domain.api_keys import Scope
from app.domain.methods import Flow
from app.domain.payment import OrderState, State
from app.domain.reversals import RefundState
from app.embedded.sample import curl
from tests.walk import guide
from tests.walk.guide import Example, Reader
from tests.walk.running import Running

GUIDE = guide.GUIDE.read_text()
OPENING = guide.opening(GUIDE)
EXAMPLES = list(guide.examples(GUIDE))
# Under `make run` raw cards are on, and the key opens everything; a defect cannot be ordered, and
# nobody waits for a slow request or makes dozens in vain.
NOT_SHOWN = {
    *(Kind.RAW_CARDS_OFF, Kind.FORBIDDEN, Kind.INTERNAL, Kind.TIMEOUT, Kind.TOO_MANY_REQUESTS)
}


def table(header: str) -> list[list[str]]:
    """The rows of the guide's table that begins with `header`, without backquotes."""
    whole = rf"^{re.escape(header)}.*\n\|[- |]+\n((?:\|.*\n)+)"
    [rows] = re.findall(whole, GUIDE, re.MULTILINE)
    cells = [row.strip("| ").replace("`", "").split(" | ") for row in rows.splitlines()]
    return [[cell.strip() for cell in row] for row in cells]


@pytest.mark.parametrize("section", dict.fromkeys(example.section for example in EXAMPLES))
async def test_every_answer_in_the_guide_is_the_one_that_is_given(
    running: Running, section: str
) -> None:
    for example in EXAMPLES:
        if example.section == section:
            await holds(Reader(running), OPENING, example)


async def test_every_answer_in_the_readme_is_the_one_that_is_given(running: Running) -> None:
    examples = list(guide.examples(guide.README.read_text()))
    assert len(examples) > 1
    for example in examples:
        await holds(Reader(running), "", example)


async def holds(reader: Reader, opening: str, example: Example) -> None:
    said = await reader.told(opening, example)
    if example.answer is not None:
        given = guide.Answer.from_curl(said).as_far_as(example.answer)
        assert str(given.shape()) == str(example.answer.shape()), example.script


def test_a_token_comes_before_a_raw_card_wherever_either_is_told_of() -> None:
    files = [guide.README, *guide.ROOT.glob("docs/*.md")]
    documents = {file.name: file.read_text() for file in files}
    documents["what `make run` prints"] = curl("http://127.0.0.1:8700")
    mentions = re.compile(r"(?i)(raw[ _]card|\"credit_card\": \{)|token")
    first = {name: found for name, text in documents.items() if (found := mentions.search(text))}
    assert {"README.md", "api.md", "house.md", "what `make run` prints"} <= first.keys()
    assert [name for name, mention in first.items() if mention[1]] == []


def test_nothing_in_the_guide_is_left_out() -> None:
    assert len(EXAMPLES) == GUIDE.count("```sh\n")
    for example in EXAMPLES:
        assert guide.shows_answer(example) == (example.answer is not None), example.script


def test_every_address_is_asked() -> None:
    paths = create_app().openapi()["paths"]
    asked = {request for example in EXAMPLES for request in requests(example.script)}
    for path, operations in paths.items():
        pattern = re.sub(r"{\w+}", "[^/]+", path)
        for method in operations:
            assert any(
                how == method.upper() and re.fullmatch(pattern, where) for how, where in asked
            ), (method, path)


def requests(script: str) -> Iterator[tuple[str, str]]:
    """What a script asks of the API: methods and paths."""
    for path in re.findall(r"""\bpick \w+ ["']?(/[^"'?\s)]*)""", script):
        yield "GET", path
    for command in re.split(r"\bcurl\b", script)[1:]:
        if path := re.match(r'[^"]*"\$TILLFLOW(/[^"?]*)', command):
            yield "POST" if re.search(r"\s(-d|-X POST)\s", command) else "GET", path[1]


def test_every_kind_of_problem_is_shown_and_explained() -> None:
    explained = {(name, int(status)) for name, status, _ in table("| `type` `/problems/…` |")}
    assert explained == {(kind.value[0], kind.status) for kind in Kind}
    answers = [example.answer for example in EXAMPLES if example.answer is not None]
    problems = [answer for answer in answers if "title" in (answer.body or {})]
    shown = {(problem.body["type"], problem.status[:3]) for problem in problems}
    assert shown == {(kind.type, str(kind.status)) for kind in set(Kind) - NOT_SHOWN}


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("| `status` | meaning | what the storefront does |", State),
        ("| `order_status` |", OrderState),
        ("| `status` | |", RefundState),
        ("| `flow` |", Flow),
        ("| field |", InitiateRequest.model_fields),
        ("| scope |", Scope),
    ],
)
def test_every_name_is_explained(header: str, names: Iterable[str]) -> None:
    explained = [name for row in table(header) for name in row[0].split(", ")]
    assert sorted(explained) == sorted(names)


@pytest.mark.parametrize(
    ("amount", "currency", "told"), [tuple(row) for row in table("| `amount` | `currency` |")]
)
async def test_an_amount_is_what_the_guide_says(
    running: Running, amount: str, currency: str, told: str
) -> None:
    query = {"amount": amount, "currency": currency}
    answer = (await running.shop.get("/api/payment-methods", params=query)).json()
    is_ = answer.get("amount") or f"refused: {answer['errors'][0]['message']}"
    assert is_ == told


def test_every_link_within_the_guide_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = set(re.findall(r"\]\(#([^)]+)\)", GUIDE))
    assert linked
    assert linked <= anchors
