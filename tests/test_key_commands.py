"""`tillflow keys …`, as an operator sees it."""

import asyncio
import re
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from app.cli import app
from app.db.api_keys import ApiKeys
from app.domain.api_keys import NotAuthenticatedError, Scope
from tests.conftest import environment_of

READ_AND_PAY = ("--scope", "payments:read", "--scope", "payments:write")


async def keys(database_url: str, *arguments: str) -> Result:
    settings = environment_of(database_url=database_url)
    # In a thread of its own: the command runs an event loop.
    return await asyncio.to_thread(
        lambda: CliRunner().invoke(app, ["keys", *arguments], env=settings)
    )


async def test_a_key_is_shown_once_and_listed_without_its_secret(
    database_url: str, engine: AsyncEngine
) -> None:
    made = await keys(
        database_url, "create", "--client", "shop", *READ_AND_PAY, "--expires", "2040-01-02"
    )
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    # As docs/deploy.md tells scanners of source code.
    assert re.fullmatch(r"tillflow_[a-z2-7]{12}\.[A-Za-z0-9_-]{43}", key)
    client = await ApiKeys(engine, embedded=False).authenticate(key, Scope.PAYMENTS_READ)
    assert client.name == "shop"
    assert client.scopes == {Scope.PAYMENTS_READ, Scope.PAYMENTS_WRITE}

    listed = await keys(database_url, "list")
    [line] = [line for line in listed.stdout.splitlines() if client.key_id in line]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert line.split(maxsplit=4) == [
        *(client.key_id, "shop", "payments:read", "payments:write"),
        f"live, made {today}, last used {today}, expires 2040-01-02",
    ]
    assert key.partition(".")[2] not in listed.output


async def test_a_revoked_key_is_listed_as_such_and_opens_nothing(
    database_url: str, engine: AsyncEngine
) -> None:
    made = await keys(database_url, "create", "--client", "shop", "--scope", "operator")
    key = made.stdout.strip()
    key_id = key.removeprefix("tillflow_").partition(".")[0]
    for _ in range(2):
        revoked = await keys(database_url, "revoke", key_id)
        assert (revoked.exit_code, revoked.stdout) == (0, f"{key_id} of shop is revoked\n")
    with pytest.raises(NotAuthenticatedError):
        await ApiKeys(engine, embedded=False).authenticate(key, Scope.OPERATOR)
    assert "revoked, made" in (await keys(database_url, "list")).stdout


async def test_a_third_live_key_is_refused_with_the_other_two(database_url: str) -> None:
    create = ("create", "--client", "shop", "--scope", "operator")
    ids = [
        (await keys(database_url, *create)).stdout.removeprefix("tillflow_").partition(".")[0]
        for _ in range(2)
    ]
    third = await keys(database_url, *create)
    assert (third.exit_code, third.stdout) == (1, "")
    assert third.stderr == (
        f"tillflow: shop has two live keys, {ids[0]} and {ids[1]}: "
        "revoke the one that is not used any more\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "--client", "shop"), "--scope"),
        (("create", "--client", "shop", "--scope", "everything"), "everything"),
        (("create", "--client", "a shop", "--scope", "operator"), "--client"),
        (
            ("create", "--client", "a", "--scope", "operator", "--expires", "2026-01-01"),
            "--expires",
        ),
        (("revoke", "nobodys"), "no key's id"),
        (("revoke", "a" * 12), f"there is no key {'a' * 12}"),
    ],
)
async def test_what_cannot_be_done_is_said(
    database_url: str, arguments: tuple[str, ...], told: str
) -> None:
    refused = await keys(database_url, *arguments)
    assert refused.exit_code != 0
    assert told in refused.stderr
    assert refused.stdout == ""
