"""API keys as rows: made, found, revoked."""

from contextlib import suppress
from datetime import UTC, date, datetime

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, or_, select, update

from app.db.engine import transaction
from app.db.tables import ApiKeyRow
from app.domain.api_keys import (
    DEVELOPMENT_API_KEY,
    MOST_LIVE_KEYS,
    ApiKey,
    Client,
    NoSuchKeyError,
    NotAuthenticatedError,
    Offered,
    Scope,
    ScopeMissingError,
    TooManyKeysError,
)
from app.domain.records import RecordsUnavailableError


class ApiKeys:
    """Every method raises RecordsUnavailableError when the database cannot be reached.

    `embedded`: whether the development key is one.
    """

    def __init__(self, engine: AsyncEngine, *, embedded: bool) -> None:
        self._engine = engine
        self._embedded = embedded
        self._noted: dict[str, date] = {}  # when we last wrote down that a key was used

    async def authenticate(self, offered: str, needed: Scope) -> Client:
        """Whose key `offered` is. Read anew each time: what is revoked opens nothing from then on.

        Raises NotAuthenticatedError, ScopeMissingError.
        """
        read = Offered.read(offered, embedded=self._embedded)
        if read is None:
            raise NotAuthenticatedError("This is not an API key")
        key = await self._find(read.key_id)
        if key is None or not read.opens(key):
            raise NotAuthenticatedError("This API key is not known", key_id=read.key_id)
        return await self._admitted(key, needed)

    async def holder(self, key_id: str, needed: Scope) -> Client:
        """Whose key that is: for who has proven before to have it. Raises as `authenticate`."""
        key = await self._find(key_id)
        if key is None:
            raise NotAuthenticatedError("This API key is not known", key_id=key_id)
        return await self._admitted(key, needed)

    async def create(
        self, client: str, scopes: frozenset[Scope], expires_at: datetime | None
    ) -> Offered:
        """A new key for `client`. Its secret is kept nowhere. Raises TooManyKeysError."""
        new = Offered.new()
        live = (
            col(ApiKeyRow.client) == client,
            col(ApiKeyRow.revoked_at).is_(None),
            or_(col(ApiKeyRow.expires_at).is_(None), col(ApiKeyRow.expires_at) > func.now()),
        )
        async with transaction(self._engine) as session:
            # One creation at a time, or two at once could make a third.
            connection = await session.connection()
            await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('api_keys'))"))
            found = await session.exec(
                select(ApiKeyRow.key_id).where(*live).order_by(col(ApiKeyRow.created_at))
            )
            key_ids = list(found)
            if len(key_ids) >= MOST_LIVE_KEYS:
                raise TooManyKeysError(key_ids)
            await session.exec(
                insert(ApiKeyRow).values(
                    key_id=new.key_id,
                    client=client,
                    secret_hash=new.secret_hash(),
                    scopes=sorted(scopes),
                    expires_at=expires_at,
                )
            )
        return new

    async def put_development_key(self) -> None:
        """Have the embedded stack's key there, with every scope. Safe to repeat."""
        known = Offered.read(DEVELOPMENT_API_KEY, embedded=True)
        assert known is not None  # noqa: S101 - that is what `embedded` means  # nosec B101
        values = {
            "client": known.key_id,
            "secret_hash": known.secret_hash(),
            "scopes": sorted(Scope),
        }
        async with transaction(self._engine) as session:
            await session.exec(
                insert(ApiKeyRow)
                .values(key_id=known.key_id, **values)
                .on_conflict_do_update(index_elements=["key_id"], set_=values)
            )

    async def every(self) -> list[ApiKey]:
        """Every key there was, by client, the oldest first."""
        async with transaction(self._engine) as session:
            rows = await session.exec(
                select(ApiKeyRow).order_by(
                    col(ApiKeyRow.client), col(ApiKeyRow.created_at), col(ApiKeyRow.key_id)
                )
            )
            return [_key(row) for row in rows]

    async def revoke(self, key_id: str) -> ApiKey:
        """Have the key open nothing any more. Safe to repeat. Raises NoSuchKeyError."""
        async with transaction(self._engine) as session:
            row = await session.get(ApiKeyRow, key_id, with_for_update=True)
            if row is None:
                raise NoSuchKeyError
            row.revoked_at = row.revoked_at or datetime.now(UTC)
            return _key(row)

    async def _find(self, key_id: str) -> ApiKey | None:
        async with transaction(self._engine) as session:
            row = await session.get(ApiKeyRow, key_id)
        return _key(row) if row is not None else None

    async def _admitted(self, key: ApiKey, needed: Scope) -> Client:
        now = datetime.now(UTC)
        ended = key.ended(now)
        if ended is not None:
            raise NotAuthenticatedError(f"This API key is {ended}", key.client)
        await self._note_use(key.client.key_id, now.date())
        if needed not in key.client.scopes:
            raise ScopeMissingError(needed, key.client)
        return key.client

    async def _note_use(self, key_id: str, day: date) -> None:
        """Once a day and process. A database that takes no writes keeps nobody out."""
        if self._noted.get(key_id) == day:
            return
        self._noted[key_id] = day
        with suppress(RecordsUnavailableError):
            async with transaction(self._engine) as session:
                await session.exec(
                    update(ApiKeyRow)
                    .where(col(ApiKeyRow.key_id) == key_id)
                    .values(last_used_on=day)
                )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        client=Client(row.key_id, row.client, frozenset(Scope(scope) for scope in row.scopes)),
        secret_hash=row.secret_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_on=row.last_used_on,
    )
