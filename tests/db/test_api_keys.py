"""API keys: who has them, how long they open anything, and what is kept of them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.api_keys import ApiKeys
from app.domain.api_keys import (
    DEVELOPMENT_API_KEY,
    DEVELOPMENT_KEY_ID,
    NoSuchKeyError,
    NotAuthenticatedError,
    Offered,
    Scope,
    ScopeMissingError,
    TooManyKeysError,
)

READ = Scope.PAYMENTS_READ
ONLY_READ = frozenset({READ})


@pytest.fixture
def api_keys(engine: AsyncEngine) -> ApiKeys:
    """As outside the embedded stack."""
    return ApiKeys(engine, embedded=False)


async def test_a_key_opens_what_it_is_for_and_nothing_else(api_keys: ApiKeys) -> None:
    new = await api_keys.create("shop", ONLY_READ, None)
    client = await api_keys.authenticate(new.text(), READ)
    assert (client.key_id, client.name, client.scopes) == (new.key_id, "shop", ONLY_READ)
    for scope in Scope:
        if scope is not READ:
            with pytest.raises(ScopeMissingError, match=scope) as missing:
                await api_keys.authenticate(new.text(), scope)
            assert missing.value.client == client


async def test_nothing_but_the_whole_key_opens_anything(api_keys: ApiKeys) -> None:
    new, other = [await api_keys.create(name, ONLY_READ, None) for name in ("shop", "office")]
    key = new.text()
    wrong = [
        "",
        key[:-1],
        key + "A",
        key.upper(),
        f" {key}",
        f"{key}\n",
        new.secret,
        key.replace("_", "-", 1),
        Offered(new.key_id, other.secret).text(),
        Offered(new.key_id, Offered.new().secret).text(),
        Offered(Offered.new().key_id, new.secret).text(),
        f"tillflow_{new.key_id}.",
        f"tillflow_' OR ''='.{new.secret}",
    ]
    for text_ in wrong:
        with pytest.raises(NotAuthenticatedError) as refused:
            await api_keys.authenticate(text_, READ)
        assert new.secret not in str(refused.value)


async def test_the_development_key_opens_nothing_outside_the_embedded_stack(
    api_keys: ApiKeys, engine: AsyncEngine
) -> None:
    embedded = ApiKeys(engine, embedded=True)
    assert DEVELOPMENT_KEY_ID in [key.client.key_id for key in await api_keys.every()]
    assert (await embedded.authenticate(DEVELOPMENT_API_KEY, READ)).name == DEVELOPMENT_KEY_ID
    for offered in (DEVELOPMENT_API_KEY, f"tillflow_{DEVELOPMENT_KEY_ID}.{DEVELOPMENT_API_KEY}"):
        with pytest.raises(NotAuthenticatedError):
            await api_keys.authenticate(offered, READ)


async def test_a_revoked_key_opens_nothing_from_then_on(api_keys: ApiKeys) -> None:
    new = await api_keys.create("shop", ONLY_READ, None)
    await api_keys.authenticate(new.text(), READ)
    first = await api_keys.revoke(new.key_id)
    with pytest.raises(NotAuthenticatedError, match="revoked") as refused:
        await api_keys.authenticate(new.text(), READ)
    assert refused.value.key_id == new.key_id
    assert await api_keys.revoke(new.key_id) == first
    with pytest.raises(NoSuchKeyError):
        await api_keys.revoke("nobodys")


async def test_an_expired_key_opens_nothing(api_keys: ApiKeys) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    lasting = await api_keys.create("shop", ONLY_READ, soon)
    over = await api_keys.create("office", ONLY_READ, datetime.now(UTC))
    await api_keys.authenticate(lasting.text(), READ)
    with pytest.raises(NotAuthenticatedError, match="expired"):
        await api_keys.authenticate(over.text(), READ)


async def test_a_client_has_two_live_keys_and_no_third(api_keys: ApiKeys) -> None:
    told = await asyncio.gather(
        *(api_keys.create("shop", ONLY_READ, None) for _ in range(5)), return_exceptions=True
    )
    made = [each for each in told if isinstance(each, Offered)]
    assert len(made) == 2
    for each in told:
        if isinstance(each, TooManyKeysError):
            assert sorted(each.key_ids) == sorted(key.key_id for key in made)
    for key in made:
        await api_keys.authenticate(key.text(), READ)
    await api_keys.create("office", ONLY_READ, None)

    await api_keys.revoke(made[0].key_id)
    await api_keys.create("shop", ONLY_READ, datetime.now(UTC))  # over, so it does not count
    await api_keys.create("shop", ONLY_READ, None)
    with pytest.raises(TooManyKeysError):
        await api_keys.create("shop", ONLY_READ, None)


async def test_nothing_of_the_secret_is_kept_or_shown(
    api_keys: ApiKeys, connection: AsyncConnection
) -> None:
    new = await api_keys.create("shop", ONLY_READ, None)
    await api_keys.authenticate(new.text(), READ)
    rows = await connection.execute(text("SELECT api_keys::text FROM api_keys"))
    kept = "\n".join(rows.scalars())
    assert new.key_id in kept
    shown = f"{new!r} {await api_keys.every()!r}"
    for part in (new.secret, new.secret[:20], new.secret[-20:]):
        assert part not in kept + shown
    assert new.secret_hash().hex() in kept
    assert str(new.secret_hash()) not in shown


async def test_a_key_is_found_by_one_read_from_the_index(
    api_keys: ApiKeys, engine: AsyncEngine, connection: AsyncConnection
) -> None:
    new = await api_keys.create("shop", ONLY_READ, None)
    await api_keys.authenticate(new.text(), READ)  # the first of the day is noted
    [key] = [key for key in await api_keys.every() if key.client.key_id == new.key_id]
    assert key.last_used_on == datetime.now(UTC).date()
    statements: list[tuple[str, object]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        statements.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await api_keys.authenticate(new.text(), READ)
    event.remove(engine.sync_engine, "before_cursor_execute", note)

    [(words, parameters)] = statements
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    plan = await connection.exec_driver_sql(f"EXPLAIN {words}", parameters)  # type: ignore[arg-type]
    assert "Index Scan using api_keys_pkey" in "\n".join(plan.scalars())
