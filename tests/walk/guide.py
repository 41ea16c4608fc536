"""docs/api.md and README.md, run: every answer in them is one that was really given.

Each `sh` block that asks something is what a reader pastes, and what follows it is what the reader
is told: a status line, with JSON where there is any; or plain text, for which the reader asks again
until it is said.

python -m tests.walk.guide --write   runs them on a stack of its own and writes the answers anew
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.embedded.ports import HOST, Ports
from app.embedded.run import RunSettings
from app.embedded.stack import Stack
from tests.walk.running import Running, eventually

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "api.md"
README = ROOT / "README.md"

_EXAMPLE = re.compile(
    r"^```sh\n(?P<script>.*?)^```\n"
    r"(?P<told>\n`HTTP/1\.1 (?P<status>[^`]+)`(?P<headers>(?: · `[^`]+`)*)\n"
    r"(?:\n```json\n(?P<body>.*?)^```\n)?"
    r"|\n```text\n(?P<text>.*?)^```\n|)",
    re.MULTILINE | re.DOTALL,
)
# `pick` is what the guide's opening calls asking for one value.
_ASKS = re.compile(r"\b(curl|pick)\b")
_HEADERS = ("Location", "Retry-After", "WWW-Authenticate")
_WIDTH = 100
# What differs by its nature. Our own ids of payments and refunds do not: they follow the order's.
_VARYING = (
    (r"\b(pi|pm|re|du|evt)_[A-Za-z0-9]{24}(_secret_[A-Za-z0-9]+)?", r"\1_…\2"),
    (r"_secret_[A-Za-z0-9]+", "_secret_…"),
    (r"(/challenge/pi_…/)[A-Za-z0-9]+", r"\1…"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?Z| UTC)", "a time"),
    (r'(cursor(=|": "))[\w-]{20,}', r"\1…"),
)
# A callback may be quicker than the answer to the request.
_FURTHER = {"authorized": {"captured"}, "open": {"paid", "fulfilled"}, "paid": {"fulfilled"}}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it is documented: its status, the headers that are shown, its JSON."""

    status: str
    headers: dict[str, str]
    body: Any = None

    @classmethod
    def from_curl(cls, printed: str) -> "Answer":
        """What `curl -i` has printed."""
        head, _, content = printed.partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        assert status.startswith("HTTP/1.1 "), printed
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        is_json = "json" in headers.get("content-type", "")
        return cls(
            status.removeprefix("HTTP/1.1 "),
            {name: headers[name.lower()] for name in _HEADERS if name.lower() in headers},
            json.loads(content) if is_json else None,
        )

    def __str__(self) -> str:
        """As it stands in the document."""
        shown = [f"HTTP/1.1 {self.status}", *(f"{n}: {v}" for n, v in self.headers.items())]
        line = " · ".join(f"`{each}`" for each in shown)
        body = f"\n```json\n{_laid_out(self.body)}\n```\n" if self.body is not None else ""
        return f"\n{line}\n{body}"

    def shape(self) -> "Answer":
        """Without what differs each time."""
        return Answer(
            self.status,
            {name: _shape(value) for name, value in self.headers.items()},
            json.loads(_shape(json.dumps(self.body, ensure_ascii=False))),
        )

    def as_far_as(self, documented: "Answer") -> "Answer":
        """Without what came later than what the document tells."""
        if not (isinstance(self.body, dict) and isinstance(documented.body, dict)):
            return self
        body, told = dict(self.body), documented.body
        for name in ("status", "order_status"):
            if body.get(name) in _FURTHER.get(told.get(name, ""), ()):
                body[name] = told[name]
        for name in ("callbacks", "reconciliations"):  # everybody's, the newest first
            if name in told:
                body[name] = body[name][: len(told[name])]
        return Answer(self.status, self.headers, body)


@dataclass(frozen=True)
class Example:
    """What a reader pastes, and what the reader is told: an answer, a text, or nothing of note."""

    section: str
    script: str
    answer: Answer | None
    text: str | None
    told_at: tuple[int, int]


def examples(document: str) -> Iterator[Example]:
    """Every example, in order."""
    for match in _EXAMPLE.finditer(document):
        if not _ASKS.search(match["script"]):
            continue
        headings = re.findall(r"^## (.+)$", document[: match.start()], re.MULTILINE)
        yield Example(
            section=headings[-1] if headings else "",
            script=match["script"],
            answer=_documented(match),
            text=match["text"].strip() if match["text"] is not None else None,
            told_at=match.span("told"),
        )


class Reader:
    """Somebody who pastes the examples into a shell, with a stack running on this machine."""

    def __init__(self, running: Running) -> None:
        self._running = running
        base = RunSettings.model_fields["port_base"].default
        usual, actual = Ports.from_base(base), running.stack.ports
        self._places = {
            f"http://{HOST}:{usual.api}": f"http://{HOST}:{actual.api}",
            f"http://{HOST}:{usual.sandbox}": f"http://{HOST}:{actual.sandbox}",
            f"{RunSettings.model_fields['tillflow_home'].default}/": f"{running.stack.folder}/",
        }

    async def told(self, opening: str, example: Example) -> str:
        """What `example` prints in a shell that `opening` was pasted into; where that is to be a
        text, once it is."""
        said = ""

        async def as_documented() -> bool:
            nonlocal said
            said = await self._paste(opening + example.script)
            return example.text is None or _shape(said.strip()) == _shape(example.text)

        try:
            await eventually(as_documented)
        except TimeoutError:
            raise AssertionError(f"{example.script}says {said!r}, not {example.text!r}") from None
        return said

    async def _paste(self, script: str) -> str:
        for usual, actual in self._places.items():
            script = script.replace(usual, actual)
        shell = await asyncio.create_subprocess_exec(
            "bash",
            "-euc",
            script,
            # Nobody's settings, and no proxy: it is for the outside world.
            env={"PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, complaints = await shell.communicate()
        assert shell.returncode == 0, f"{script}\n{printed.decode()}{complaints.decode()}"
        self._running.answers += printed
        said = printed.decode()
        for usual, actual in self._places.items():
            said = said.replace(actual, usual)
        return said


async def rewritten(reader: Reader, document: str, opening: str) -> str:
    """`document` with the answers that are given now."""
    pieces, end = [], 0
    for example in examples(document):
        said = await reader.told(opening, example)
        start, stop = example.told_at
        if example.text is not None:
            pieces += [document[end:start], f"\n```text\n{said.strip()}\n```\n"]
            end = stop
        elif shows_answer(example):
            pieces += [document[end:start], str(Answer.from_curl(said))]
            end = stop
    return "".join([*pieces, document[end:]])


def shows_answer(example: Example) -> bool:
    """Whether its answer is documented."""
    return "curl -i" in example.script


def opening(document: str) -> str:
    """What every example of the guide needs pasted before it: its first example."""
    return next(examples(document)).script


def _documented(match: re.Match[str]) -> Answer | None:
    if match["status"] is None:
        return None
    headers = dict(header.split(": ", 1) for header in re.findall(r"`([^`]+)`", match["headers"]))
    return Answer(match["status"], headers, json.loads(match["body"]) if match["body"] else None)


def _shape(text: str) -> str:
    for varying, shape in _VARYING:
        text = re.sub(varying, shape, text)
    return text


def _laid_out(value: Any, indent: int = 0) -> str:
    """JSON, as wide as a page: as much in a line as fits."""
    flat = json.dumps(value, ensure_ascii=False)
    if indent + len(flat) <= _WIDTH or not isinstance(value, dict | list):
        return flat
    if isinstance(value, list):
        lines = [_laid_out(member, indent + 2) for member in value]
        return "[\n" + ",\n".join(" " * (indent + 2) + line for line in lines) + "]"
    lines = []
    for name, member in value.items():
        told = f"{json.dumps(name)}: {_laid_out(member, indent + 1)}"
        if lines and indent + len(f"{lines[-1]}, {told}") < _WIDTH and "\n" not in lines[-1]:
            lines[-1] += f", {told}"
        else:
            lines.append(told)
    return "{" + (",\n" + " " * (indent + 1)).join(lines) + "}"


async def _write() -> None:
    with TemporaryDirectory() as folder:
        async with Stack(Path(folder), Ports.free(), lambda _line: None) as stack:
            await stack.start()
            running = Running(stack)
            reader = Reader(running)
            for file, before in ((README, ""), (GUIDE, opening(GUIDE.read_text()))):
                file.write_text(await rewritten(reader, file.read_text(), before))
            await running.close()


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    asyncio.run(_write())
