"""The certificates of docker-compose.yml: each key for its own service, and no authority left."""

import os
import re
import stat
from pathlib import Path

import pytest

from tests.production.compose import services
from tests.production.conftest import make_certificates

OURS = "10001"  # the image's own group


def test_the_authority_cannot_issue_again(certificates: Path) -> None:
    assert {file.name for file in certificates.glob("*.key")} == {
        f"{name}.key" for name in ("client", "sandbox", "temporal", "temporal-db", "tillflow-db")
    }
    assert not (certificates / "ca.key").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may hand a key to a group")
def test_each_key_is_readable_for_its_service_alone(certificates: Path) -> None:
    for key in certificates.glob("*.key"):
        found = key.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o640)
    for name, service in services({}).items():
        groups = {*service.get("group_add", []), *([OURS] if "build" in service else [])}
        if name == "certificates":
            continue
        used = set(re.findall(r"/certificates/([\w-]+\.key)", str(service)))
        readable = {
            key.name for key in certificates.glob("*.key") if str(key.stat().st_gid) in groups
        }
        assert used <= readable
        assert readable - used <= {"client.key", "sandbox.key"}  # of one group


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
