"""The pictures and tables of docs/payment.md, drawn from the rules themselves.

python -m tests.picture           fails unless the document shows what the rules say
python -m tests.picture --write   draws everything again
"""

import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.domain.facts import Event
from app.domain.payment import (
    AFTER_CAPTURE,
    BEFORE_MONEY,
    CLOSED,
    MAY_TRY_AGAIN,
    ORDER_STATE,
    TRANSITIONS,
    OrderState,
    State,
)

DOCUMENT = Path(__file__).parents[1] / "docs" / "payment.md"
NEXT_ATTEMPT = "the next attempt"
_SECTION = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

# A node is a state or a frame; an arrow has a node, what is written on it, and a node.
Arrow = tuple[str, str, str]


class PictureError(Exception):
    """Why the document does not show what the rules say."""


@dataclass(frozen=True)
class Frame:
    """States drawn within one frame: an arrow that all of them share is drawn once."""

    name: str
    title: str
    members: tuple[State, ...]
    direction: str = "TB"


@dataclass(frozen=True)
class Picture:
    """What is drawn together: these states and the moves by these events. Outer frames first.
    `beyond`: arrows that are not the table's, which tells of one attempt."""

    start: State
    states: tuple[State, ...]
    events: tuple[Event, ...]
    frames: tuple[Frame, ...]
    beyond: tuple[Arrow, ...] = ()


_UNDER_WAY = tuple(state for state in BEFORE_MONEY if state not in MAY_TRY_AGAIN)
# News of what follows a capture proves the capture; the first picture leaves it to the second.
_REVERSALS = tuple(
    event
    for event in Event
    if event is not Event.CAPTURED and TRANSITIONS[State.AUTHORIZED, event].to[0] in AFTER_CAPTURE
)

UP_TO_THE_CAPTURE = Picture(
    start=State.INITIATED,
    states=(*BEFORE_MONEY, State.EXPIRED, State.AUTHORIZED, State.VOIDED, State.CAPTURED),
    events=tuple(event for event in Event if event not in _REVERSALS),
    frames=(
        Frame("nothing_held", "nothing is held", (*BEFORE_MONEY, State.EXPIRED)),
        Frame("attempt", "an attempt", BEFORE_MONEY),
        Frame("under_way", "under way", _UNDER_WAY, "LR"),
    ),
    beyond=tuple(
        (str(state), NEXT_ATTEMPT, "under_way") for state in BEFORE_MONEY if state in MAY_TRY_AGAIN
    ),
)
AFTER_THE_CAPTURE = Picture(
    start=State.CAPTURED,
    states=AFTER_CAPTURE,
    events=tuple(Event),
    frames=(
        Frame(
            "not_disputed",
            "not disputed",
            (State.CAPTURED, State.PARTIALLY_REFUNDED, State.REFUNDED),
        ),
    ),
)


def meanings(states: type[StrEnum]) -> dict[str, str]:
    """What the comment behind each state says."""
    return dict(re.findall(r'= "(\w+)"  # (.+)', inspect.getsource(states)))


def moves(picture: Picture) -> set[Arrow]:
    """Every move in the picture, state by state: staying, and what contradicts, is none."""
    listed = {
        (state, _words(event), to)
        for (state, event), move in TRANSITIONS.items()
        for to in move.to
        if state in picture.states and to in picture.states and event in picture.events
        if to is not state and not move.contradicts
    }
    return {(str(source), label, str(target)) for source, label, target in listed}


def arrows(picture: Picture) -> set[Arrow]:
    """The moves, those that all of a frame share as one arrow."""
    left = moves(picture)
    for frame in picture.frames:
        for share in (_shared_from, _shared_to):
            for one, many in list(share(frame, left)):
                if many <= left:
                    left = left - many | {one}
    return left


def _shared_from(frame: Frame, among: Iterable[Arrow]) -> Iterator[tuple[Arrow, set[Arrow]]]:
    for label, target in sorted({(label, target) for _, label, target in among}):
        yield (frame.name, label, target), {(str(s), label, target) for s in frame.members}


def _shared_to(frame: Frame, among: Iterable[Arrow]) -> Iterator[tuple[Arrow, set[Arrow]]]:
    for source, label in sorted({(source, label) for source, label, _ in among}):
        yield (source, label, frame.name), {(source, label, str(s)) for s in frame.members}


def diagram(picture: Picture) -> str:
    """The picture as a Mermaid state diagram."""
    order = [*(str(state) for state in State), *(frame.name for frame in picture.frames)]
    words = [*map(_words, Event), NEXT_ATTEMPT]
    labels: dict[tuple[str, str], list[str]] = {}
    for source, label, target in sorted(
        {*arrows(picture), *picture.beyond}, key=lambda arrow: words.index(arrow[1])
    ):
        labels.setdefault((source, target), []).append(label)
    lines = ["stateDiagram-v2"]
    lines += _nested(picture.frames, set(picture.states), picture.start, indent=4)
    for (source, target), told in sorted(
        labels.items(), key=lambda pair: tuple(map(order.index, pair[0]))
    ):
        lines.append(f"    {source} --> {target} : {', '.join(told)}")
    return "\n".join(["```mermaid", *lines, "```"])


def _nested(frames: tuple[Frame, ...], states: set[State], start: State, indent: int) -> list[str]:
    """The frames with their states in them, nested as their members are, and where it starts."""
    lines: list[str] = []
    pad, left = " " * indent, set(states)
    for position, frame in enumerate(frames):
        if left >= {*frame.members}:
            left -= {*frame.members}
            lines.append(f'{pad}state "{frame.title}" as {frame.name} {{')
            lines.append(f"{pad}    direction {frame.direction}")
            lines += _nested(frames[position + 1 :], {*frame.members}, start, indent + 4)
            lines.append(f"{pad}}}")
    if start in left:
        lines.append(f"{pad}[*] --> {start}")
    return lines + [f"{pad}{state}" for state in State if state in left]


def states_table() -> str:
    """The states, and what each means."""
    told = meanings(State)
    return _table(
        ("state", "meaning", "closed"),
        ((f"`{state}`", told[state], "yes" if state in CLOSED else "") for state in State),
    )


def moves_table() -> str:
    """The whole table of transitions, an event at a time."""
    still = [event for event in Event if not _moves_by(event)]
    rows = [
        ("" if position else _code([event]), _runs(states), becomes)
        for event in Event
        for position, (states, becomes) in enumerate(_moves_by(event))
    ]
    return _table(("event", "in", "becomes"), [*rows, (_code(still), "every state", "the same")])


def _moves_by(event: Event) -> list[tuple[list[State], str]]:
    """Which states `event` turns into what, by what they turn into; without those that it leaves
    as they are."""
    grouped: dict[str, list[State]] = {}
    for state in State:
        move = TRANSITIONS[state, event]
        if move.to != (state,) or move.contradicts:
            others = [to for to in move.to if to is not state]
            becomes = " or ".join(
                [*["the same"] * (state in move.to), *(f"`{to}`" for to in others)]
            )
            if move.contradicts:
                becomes += "; needs attention"
            grouped.setdefault(becomes, []).append(state)
    return [(states, becomes) for becomes, states in grouped.items()]


def orders_table() -> str:
    """The order's states, and which events lead to each."""
    told = meanings(OrderState)
    return _table(
        ("order", "meaning", "by"),
        (
            (f"`{state}`", told[state], _code(e for e in Event if ORDER_STATE.get(e) is state))
            for state in OrderState
        ),
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "up_to_the_capture": lambda: diagram(UP_TO_THE_CAPTURE),
    "after_the_capture": lambda: diagram(AFTER_THE_CAPTURE),
    "states": states_table,
    "moves": moves_table,
    "orders": orders_table,
}


def drawn(text: str) -> str:
    """The document with every drawn section as the rules have it. Raises PictureError where one is
    missing."""
    present = [name for _, name, _ in _SECTION.findall(text)]
    if sorted(present) != sorted(SECTIONS):
        raise PictureError(f"it has the drawn sections {present}, and needs {[*SECTIONS]}")
    return _SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found[2]]()}\n\n{found[3]}", text)


def _words(event: Event) -> str:
    return event.replace("_", " ")


def _runs(states: list[State]) -> str:
    """Neighbours among the states, if they are more than two, as the first … the last."""
    every = list(State)
    runs: list[list[State]] = []
    for state in states:
        if runs and every.index(state) == every.index(runs[-1][-1]) + 1:
            runs[-1].append(state)
        else:
            runs.append([state])
    return ", ".join(_code(run) if len(run) < 3 else f"`{run[0]}` … `{run[-1]}`" for run in runs)


def _code(names: Iterable[StrEnum]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: Collection[str], rows: Iterable[Collection[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(re.sub(" +", " ", f"| {' | '.join(line)} |") for line in lines)


def main() -> None:
    try:
        text = DOCUMENT.read_text()
        if sys.argv[1:] == ["--write"]:
            DOCUMENT.write_text(drawn(text))
        elif drawn(text) != text:
            raise PictureError("it is not what the rules say; draw it again with `make picture`")
    except PictureError as error:
        sys.exit(f"{DOCUMENT.name}: {error}")


if __name__ == "__main__":
    main()
