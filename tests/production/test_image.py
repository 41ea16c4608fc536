"""The Dockerfile, .dockerignore, and what the image installs."""

import fnmatch
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from app.config import Settings
from tests.lockfile import EVERYTHING, PRODUCTION, faults, pins
from tests.production.compose import ROOT, services

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LINES = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
INSTRUCTIONS = [line.split(maxsplit=1) for line in LINES if line]
# The instructions of each stage by its name, in order.
STAGES = {
    name: [line.split(maxsplit=1) for line in rest.splitlines() if line]
    for name, rest in re.findall(
        r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM|\Z)", "\n".join(LINES), re.MULTILINE | re.DOTALL
    )
}
IGNORED = (ROOT / ".dockerignore").read_text().split()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def arguments(instruction: str) -> list[str]:
    """What stands behind each `instruction`, in order."""
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def copied(stage: str) -> set[str]:
    """What the stage takes from the build's context."""
    copies = [shlex.split(rest) for name, rest in STAGES[stage] if name == "COPY"]
    return {source for copy in copies if not copy[0].startswith("--") for source in copy[:-1]}


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[\[<>=]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_what_it_copies_exists_and_is_let_through() -> None:
    sources = [source for stage in STAGES for source in copied(stage)]
    assert sorted(sources) == sorted(["app", "sandbox", "migrations", "worker.py", PRODUCTION.name])
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in IGNORED


def test_the_image_is_the_program_and_nothing_that_stands_in_for_anything() -> None:
    [*_, last] = STAGES
    assert copied(last) == {"app", "migrations", "worker.py"}
    assert copied("sandbox") == {"sandbox"}
    assert copied("python") == set()
    targets = {
        name: service["build"].get("target", last) if service["build"] != "." else last
        for name, service in services({}).items()
        if "build" in service
    }
    assert [name for name, target in targets.items() if target != last] == ["sandbox"]
    assert targets["sandbox"] == "sandbox"


def test_nothing_else_reaches_the_build() -> None:
    assert "*" in IGNORED
    assert fnmatch.filter(IGNORED, "!*env*") == []


def test_the_base_is_one_patch_release_of_slim_python() -> None:
    assert arguments("ARG") == ["BASE=python:3.11.16-slim-trixie"]
    bases = [each.split()[0] for each in arguments("FROM")]
    assert bases == ["${BASE}", "${BASE}", "python", "python"]
    assert list(STAGES) == ["packages", "python", "sandbox", "tillflow"]


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
    environment = dict(each.split("=", 1) for each in shlex.split(" ".join(arguments("ENV"))))
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
