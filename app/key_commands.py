"""`tillflow keys …`: who may call the API."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.domain.api_keys import CLIENT_NAME, ApiKey, Scope, TooManyKeysError

if TYPE_CHECKING:
    from app.db.api_keys import ApiKeys

keys = typer.Typer(help="Who may call the API.", no_args_is_help=True)
_Result = TypeVar("_Result")


@keys.command()
def create(
    client: Annotated[str, typer.Option(help="Whose key it is: a shop, a back office.")],
    scope: Annotated[list[Scope], typer.Option(help="What it is for; once for each.")],
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The first day on which it opens nothing, UTC."),
    ] = None,
) -> None:
    """Make a key and show it: the only time. A client has two at most, to change from one to the
    other."""
    expires_at = expires.replace(tzinfo=UTC) if expires is not None else None
    if CLIENT_NAME.fullmatch(client) is None:
        raise typer.BadParameter(
            "a name is 1 to 64 letters, digits, '.', '_' or '-'", param_hint="--client"
        )
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise typer.BadParameter("that day is not to come", param_hint="--expires")
    try:
        new = _run(lambda api_keys: api_keys.create(client, frozenset(scope), expires_at))
    except TooManyKeysError as error:
        ids = " and ".join(error.key_ids)
        raise _failed(
            f"{client} has two live keys, {ids}: revoke the one that is not used any more"
        ) from None
    typer.echo("Shown this once, and kept nowhere:", err=True)
    typer.echo(new.text())


@keys.command("list")
def list_keys() -> None:
    """Show every key there was, without its secret."""
    now = datetime.now(UTC)
    for key in _run(lambda api_keys: api_keys.every()):
        scopes = " ".join(sorted(key.client.scopes))
        typer.echo(f"{key.client.key_id:<13} {key.client.name:<20} {scopes:<42} {_story(key, now)}")


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Have a key open nothing any more, from this moment on."""
    revoked = _run(lambda api_keys: api_keys.revoke(key_id))
    if revoked is None:
        raise _failed(f"there is no key {key_id}: tillflow keys list shows them")
    typer.echo(f"{key_id} of {revoked.client.name} is revoked")


def _story(key: ApiKey, now: datetime) -> str:
    told = [f"{key.ended(now) or 'live'}, made {key.created_at:%Y-%m-%d}"]
    if key.last_used_on is not None:
        told.append(f"last used {key.last_used_on}")
    if key.expires_at is not None:
        told.append(f"expires {key.expires_at:%Y-%m-%d}")
    if key.revoked_at is not None:
        told.append(f"revoked {key.revoked_at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(told)


def _run(ask: Callable[["ApiKeys"], Awaitable[_Result]]) -> _Result:
    import asyncio

    from app.config import Settings
    from app.db.api_keys import ApiKeys
    from app.db.engine import create_engine

    settings = Settings()

    async def run() -> _Result:
        engine = create_engine(settings.database_url.get_secret_value())
        try:
            return await ask(ApiKeys(engine, embedded=settings.embedded))
        finally:
            await engine.dispose()

    return asyncio.run(run())


def _failed(why: str) -> typer.Exit:
    typer.echo(f"tillflow: {why}", err=True)
    return typer.Exit(1)
