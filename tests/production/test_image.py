"""The Dockerfile, .dockerignore, and what the image installs."""

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from app.config import Settings
from tests.lockfile import EVERYTHING, PRODUCTION, faults, pins
from tests.production.compose import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)
    .replace("\\\n", " ")
    .splitlines()
    if line
]
IGNORED = (ROOT / ".dockerignore").read_text().split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def arguments(instruction: str) -> list[str]:
    """What stands behind each `instruction`, in order."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[\[<>=]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_what_it_copies_exists_and_is_let_through() -> None:
    copies = [shlex.split(each) for each in arguments("COPY") if not each.startswith("--from")]
    sources = {source for copy in copies for source in copy[:-1]}
    assert {"app", "sandbox", "migrations", "worker.py", PRODUCTION.name} == sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in IGNORED


def test_nothing_else_reaches_the_build() -> None:
    assert "*" in IGNORED
    assert fnmatch.filter(IGNORED, "!*env*") == []


def test_the_base_is_one_patch_release_of_slim_python() -> None:
    assert arguments("ARG") == ["BASE=python:3.11.16-slim-trixie"]
    assert [each.split()[0] for each in arguments("FROM")] == ["${BASE}", "${BASE}"]


def test_it_installs_the_production_lock_by_hash_and_compiles_nothing() -> None:
    install = arguments("RUN")[0]
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    assert f"--requirement {PRODUCTION.name}" in install
    assert "apt" not in DOCKERFILE


def test_it_runs_as_a_user_without_rights_and_stops_on_sigterm() -> None:
    assert arguments("USER") == ["10001:10001"]
    assert arguments("STOPSIGNAL") == ["SIGTERM"]
    assert len(arguments("HEALTHCHECK")) == 1


def test_the_servers_listen_where_others_reach_it() -> None:
    environment = dict(each.split("=", 1) for each in shlex.split(arguments("ENV")[0]))
    settings = {
        name: value for name, value in environment.items() if name.lower() in Settings.model_fields
    }
    everywhere = "0.0.0.0"  # noqa: S104
    assert settings == {"API_HOST": everywhere, "CODEC_HOST": everywhere}


def test_the_lock_holds_what_the_program_needs_and_no_more() -> None:
    production = pins(PRODUCTION.read_text())
    extras = [names(each) for each in PROJECT["optional-dependencies"].values()]
    assert names(PROJECT["dependencies"]) <= production.keys()
    assert not set.union(*extras) & production.keys()


def test_the_lock_pins_what_the_tests_ran_with() -> None:
    assert pins(PRODUCTION.read_text()).items() <= pins(EVERYTHING.read_text()).items()


@pytest.mark.parametrize("lock", [EVERYTHING, PRODUCTION])
def test_every_package_has_a_hash_and_no_index_has_a_name(lock: Path) -> None:
    assert faults(lock.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example.com/simple",
        "httpx @ https://packages.example.com/httpx.whl --hash=sha256:00",
        "httpx==0.28.1",
        "httpx>=0.28 --hash=sha256:00",
    ],
)
def test_a_lock_that_cannot_be_trusted_is_noticed(line: str) -> None:
    assert faults(f"# comment\nidna==3.20 \\\n    --hash=sha256:00\n    # via httpx\n{line}\n")
