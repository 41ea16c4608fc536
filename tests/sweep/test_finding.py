"""What is planted is found, in every writing and wherever it stands."""

from collections.abc import Iterator

import pytest

from app.domain.card_numbers import holds_card_number
from tests.sweep.canaries import Canary, canaries
from tests.sweep.ending import FAILED, NOT_EVERYWHERE, ending
from tests.sweep.finding import _PIECE, Search
from tests.sweep.places import unseen
from tests.sweep.writings import HASHES, PACKINGS, WRITINGS

CARDS = canaries(60)
SEARCH = Search([card.number for card in CARDS], {card.code for card in CARDS}, WRITINGS | HASHES)


def test_the_numbers_pass_for_those_of_cards() -> None:
    assert all(holds_card_number(card.number) for card in CARDS)
    assert {len(card.number) for card in CARDS} == set(range(14, 20))
    assert len({card.number for card in CARDS}) == len({card.code for card in CARDS}) == 60


@pytest.mark.parametrize("writing", WRITINGS | HASHES)
def test_a_number_is_found_in_each_writing(writing: str) -> None:
    """All that the writing may look like is found, each by itself."""
    texts = {text: card for card in CARDS[:8] for text in (WRITINGS | HASHES)[writing](card.number)}
    content = b"\0{".join([b"", *texts, b""])
    assert SEARCH.content(content) == {f"{card.number} {writing}" for card in texts.values()}
    for at, text in enumerate(texts):
        if at % 5 == 0:
            assert SEARCH.content(b"\0{" + text + b"\xff") == {f"{texts[text].number} {writing}"}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_number_is_found_in_what_is_packed(packing: str) -> None:
    packed = PACKINGS[packing](b"x" * 20_000 + CARDS[0].number.encode())
    assert CARDS[0].number.encode() not in packed
    assert SEARCH.content(b"packed: " + packed + b" and more") == {f"{CARDS[0].number} raw"}


@pytest.mark.parametrize(
    "written",
    ['"cvv": "{}"', "cvc={}&", "card[cvc]={}", "cvv=SecretStr('{}')", '\\"securityCode\\":\\"{}'],
)
def test_a_security_code_is_found_by_its_name(written: str) -> None:
    told = "... " + written.replace("{}", CARDS[0].code) + " ..."
    assert SEARCH.content(told.encode()) == {f"security code {CARDS[0].code}"}
    assert SEARCH.content(b'"cvv": "99"') == set()


def test_a_number_is_found_across_the_pieces_of_something_large() -> None:
    spaced = next(iter(WRITINGS["spaced"](CARDS[0].number)))

    def pieces() -> Iterator[bytes]:
        yield b"." * (_PIECE - 8) + spaced[:8]
        yield spaced[8:]

    assert SEARCH.pieces(pieces()) == {f"{CARDS[0].number} spaced"}


def test_what_is_no_card_is_not_found() -> None:
    other = Canary("4242424242424242", "000")
    told = f'{other.number} "cvv": "{other.code}" {CARDS[0].number[:-1]}'
    assert SEARCH.content(told.encode()) == set()


def test_a_sweep_that_could_not_look_everywhere_has_not_passed() -> None:
    found: dict[str, set[str]] = {place: set() for place in unseen({})}
    assert len(found) == 5
    assert unseen(found) == []
    del found["the memory of the worker"]
    assert unseen(found) == ["the memory of the worker"]
    last, status = ending("sweep: 0 found", sound=True, unseen=unseen(found))
    assert last.startswith("sweep: 0 found; NOT LOOKED AT")
    assert last.endswith("the memory of the worker")
    assert status == NOT_EVERYWHERE == 2
    assert ending("sweep: 1 found", sound=False, unseen=unseen(found))[1] == FAILED == 1
    assert ending("sweep: 0 found", sound=True, unseen=[]) == ("sweep: 0 found", 0)
