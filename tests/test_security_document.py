"""What docs/security.md promises is shown by tests that are there."""

import ast
import re
from datetime import date
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_TEXT = (_ROOT / "docs" / "security.md").read_text()
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _section(title: str) -> str:
    """From a heading to the next one of its level."""
    _, found, rest = _TEXT.partition(f"\n## {title}")
    assert found, f"{title}: no such section"
    return rest.partition("\n## ")[0]


def _rows(section: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its heading."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, functions)}


def test_every_test_that_it_names_is_there() -> None:
    named = set(_NAMED.findall(_TEXT))
    assert len(named) > 50
    files = {file for file, _ in named}
    known = {file: _tests_in(_ROOT / file) for file in files if (_ROOT / file).exists()}
    assert sorted(f"{f}::{name}" for f, name in named if name not in known.get(f, set())) == []


@pytest.mark.parametrize("standard", ["PCI DSS", "OWASP ASVS"])
def test_every_requirement_is_shown_or_left_to_somebody(standard: str) -> None:
    rows = _rows(_section(standard))
    assert len(rows) > 20
    for requirement, does, shown_by, left in rows:
        assert re.match(r"\d", requirement), requirement
        assert does, requirement
        # What Tillflow does not do, or what is a paper, has no test: the dash says so.
        assert _NAMED.search(shown_by) or shown_by == "—", requirement
        if does in ("none", "none is promised"):
            assert left, requirement


def test_every_figure_has_its_day_and_a_command_that_there_is() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    rows = _rows(_section("Figures"))
    assert rows
    for day, what, command, line in rows:
        assert date.fromisoformat(day), what
        made = re.fullmatch(r"`make ([a-z-]+)( [A-Z_]+=\w+)*`", command)
        run = re.fullmatch(r"`python -m ([\w.]+)( [-\w]+)*`", command)
        assert made or run, what
        if made:
            assert made[1] in targets, what
        if run:
            path = _ROOT / run[1].replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), what
        assert line, what
