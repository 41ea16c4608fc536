"""The certificates of docker-compose.yml: each key for its own service, and no authority left."""

import os
import re
import stat
from pathlib import Path

import pytest

from tests.production.compose import COMPOSE, services
from tests.production.conftest import make_certificates


def test_the_authority_cannot_issue_again(certificates: Path) -> None:
    assert {file.name for file in certificates.glob("*.key")} == {
        f"{name}.key" for name in ("client", "sandbox", "temporal", "temporal-db", "tillflow-db")
    }
    assert not (certificates / "ca.key").exists()


GROUPS = {
    f"{name}.key": group
    for name, group in re.findall(r"^ +issue ([\w-]+) (\d+) ", COMPOSE.read_text(), re.MULTILINE)
}


def test_each_key_is_readable_for_those_that_show_it_and_nobody_else() -> None:
    assert len(set(GROUPS.values())) == len(GROUPS) == 5
    for name, service in services({}).items():
        used = set(re.findall(r"/certificates/([\w-]+\.key)", str(service)))
        groups = {"10001"} if "build" in service else set()  # the image's own
        groups |= set(service.get("group_add", []))
        if name != "certificates":
            assert used == {key for key, group in GROUPS.items() if group in groups}, name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may hand a key to a group")
def test_each_key_is_its_groups_alone(certificates: Path) -> None:
    for name, group in GROUPS.items():
        found = (certificates / name).stat()
        assert (found.st_uid, str(found.st_gid)) == (0, group)
        assert stat.S_IMODE(found.st_mode) == 0o640


def test_the_job_keeps_what_it_made(certificates: Path) -> None:
    before = {file.name: file.read_bytes() for file in certificates.iterdir()}
    make_certificates(certificates)
    assert {file.name: file.read_bytes() for file in certificates.iterdir()} == before


def test_a_job_that_was_interrupted_begins_again(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    first = (tmp_path / "ca.crt").read_bytes()
    (tmp_path / "complete").unlink()
    make_certificates(tmp_path)
    assert (tmp_path / "ca.crt").read_bytes() != first
