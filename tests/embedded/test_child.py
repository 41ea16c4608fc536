"""What a part may count on while it is supervised."""

import json
import os
import signal
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from app.embedded import supervisor as supervision
from app.embedded.credentials import Credentials
from app.embedded.errors import StackError
from app.embedded.mail import MailPart
from app.embedded.part import inherited_environment
from app.embedded.ports import free_port
from app.embedded.process import LOG_LIMIT_BYTES, rotate
from app.embedded.supervisor import Supervisor
from tests.embedded.processes import alive, until


async def test_the_back_off_doubles_until_a_part_stays_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    async with Supervisor(tmp_path, lines.append) as supervisor:
        await supervisor.start(MailPart(tmp_path, free_port()))

        async def die() -> str:
            lines.clear()
            os.kill(supervisor.pid("mail"), signal.SIGKILL)
            await until(lambda: len(lines) == 2)
            assert "is back" in lines[1]
            return lines[0].partition(" again in ")[2]

        assert [await die(), await die()] == ["0.5 s", "1 s"]
        monkeypatch.setattr(supervision, "HEALTHY_SECONDS", 0)
        assert await die() == "0.5 s"


async def test_a_part_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with Supervisor(tmp_path) as supervisor:
            # It greets nobody, so the part waits for a greeting until its own process has died.
            with pytest.raises(StackError, match="Mail server did not become ready") as caught:
                await supervisor.start(MailPart(tmp_path, other.getsockname()[1]))
    assert "address already in use" in caught.value.detail


class _Deaf(MailPart):
    start_seconds = 2

    async def ready(self) -> bool:
        return False


async def test_a_part_that_never_serves_is_not_left_running(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        with pytest.raises(StackError, match="Mail server did not become ready"):
            await supervisor.start(_Deaf(tmp_path, free_port()))
        assert not alive(supervisor.pid("mail"))


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    log.write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "api.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_tuning_settings_pass_through_and_addresses_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKOUT_EXPIRY_SECONDS", "60")
    withheld = ("DATABASE_URL", "TEMPORAL_API_KEY", "STRIPE_API_KEY", "PGSSLMODE", "https_proxy")
    for name in withheld:
        monkeypatch.setenv(name, "elsewhere")
    environment = inherited_environment()
    assert environment["CHECKOUT_EXPIRY_SECONDS"] == "60"
    assert not environment.keys() & set(withheld)


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    made = Credentials.kept_in(tmp_path)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert Credentials.kept_in(tmp_path) == made
    assert Credentials.new() != made


def test_a_secret_that_came_with_a_later_release_is_added(tmp_path: Path) -> None:
    made = asdict(Credentials.kept_in(tmp_path))
    del made["encryption_keys"]
    (tmp_path / "secrets.json").write_text(json.dumps(made))
    added = Credentials.kept_in(tmp_path)
    assert asdict(added) == {**made, "encryption_keys": added.encryption_keys}
    assert Credentials.kept_in(tmp_path) == added


def test_secrets_that_cannot_be_read_are_not_replaced_behind_your_back(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(StackError, match="delete it"):
        Credentials.kept_in(tmp_path)
