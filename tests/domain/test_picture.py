"""docs/payment.md shows what the rules say."""

import re
from enum import StrEnum
from itertools import product

import pytest

from app.domain.payment import TRANSITIONS, OrderState, State
from tests import picture
from tests.picture import AFTER_THE_CAPTURE, UP_TO_THE_CAPTURE, Picture


def test_the_document_shows_what_the_rules_say() -> None:
    text = picture.DOCUMENT.read_text()
    assert picture.drawn(text) == text, "draw it again with `make picture`"


def test_a_document_without_a_drawn_section_is_not_overlooked() -> None:
    text = picture.DOCUMENT.read_text().replace("<!-- drawn: moves -->", "")
    with pytest.raises(picture.PictureError):
        picture.drawn(text)


@pytest.mark.parametrize("states", [State, OrderState])
def test_every_state_is_explained_where_it_is_defined(states: type[StrEnum]) -> None:
    assert picture.meanings(states).keys() == set(states)


def test_every_state_is_in_a_picture() -> None:
    assert {*UP_TO_THE_CAPTURE.states, *AFTER_THE_CAPTURE.states} == set(State)


@pytest.mark.parametrize("shown", [UP_TO_THE_CAPTURE, AFTER_THE_CAPTURE])
def test_the_arrows_of_a_picture_are_the_moves_of_the_table(shown: Picture) -> None:
    members = {frame.name: frame.members for frame in shown.frames}
    drawn = {
        (one, label, other)
        for source, target, labels in re.findall(r"(\w+) --> (\w+) : (.+)", picture.diagram(shown))
        for label in labels.split(", ")
        if label != picture.NEXT_ATTEMPT
        for one, other in product(members.get(source, (source,)), members.get(target, (target,)))
    }
    assert drawn == {
        (state, event.replace("_", " "), to)
        for (state, event), move in TRANSITIONS.items()
        for to in move.to
        if to is not state and not move.contradicts
        if {state, to} <= {*shown.states} and event in shown.events
    }
