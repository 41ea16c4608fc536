"""`tillflow keys …`: who may call the API."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from app.domain.api_keys import (
    CLIENT_NAME,
    KEY_ID,
    ApiKey,
    NoSuchKeyError,
    Offered,
    Scope,
    TooManyKeysError,
)

keys = typer.Typer(help="Who may call the API.", no_args_is_help=True)


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
    import asyncio
    from functools import partial

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db.api_keys import ApiKeys
    from app.domain.card_numbers import holds_card_number

    expires_at = expires.replace(tzinfo=UTC) if expires is not None else None
    if CLIENT_NAME.fullmatch(client) is None or holds_card_number(client):
        raise typer.BadParameter(
            "a name is 1 to 64 letters, digits, '.', '_' or '-', and no card number",
            param_hint="--client",
        )
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise typer.BadParameter("that day is not to come", param_hint="--expires")

    async def make() -> Offered:
        settings = Settings()
        async with recorded(settings, "keys create", client, changes=True) as work:
            api_keys = ApiKeys(work.engine, embedded=settings.embedded)
            new = await api_keys.create(client, frozenset(scope), expires_at)
            work.object = new.key_id
            work.undo = partial(api_keys.revoke, new.key_id)  # nobody is shown it then
            return new

    try:
        new = asyncio.run(make())
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
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db.api_keys import ApiKeys

    async def read() -> list[ApiKey]:
        settings = Settings()
        async with recorded(settings, "keys list") as work:
            return await ApiKeys(work.engine, embedded=settings.embedded).every()

    now = datetime.now(UTC)
    for key in asyncio.run(read()):
        scopes = " ".join(sorted(key.client.scopes))
        typer.echo(f"{key.client.key_id:<13} {key.client.name:<20} {scopes:<42} {_story(key, now)}")


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Have a key open nothing any more, from this moment on."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db.api_keys import ApiKeys

    if KEY_ID.fullmatch(key_id) is None:  # a whole key, perhaps: it is not repeated
        raise typer.BadParameter(
            "that is no key's id: tillflow keys list shows them", param_hint="ID"
        )

    async def end() -> ApiKey:
        settings = Settings()
        # Told afterwards only: a trail that takes nothing must not keep a key alive.
        async with recorded(settings, "keys revoke", key_id) as work:
            return await ApiKeys(work.engine, embedded=settings.embedded).revoke(key_id)

    try:
        revoked = asyncio.run(end())
    except NoSuchKeyError:
        raise _failed(f"there is no key {key_id}: tillflow keys list shows them") from None
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


def _failed(why: str) -> typer.Exit:
    typer.echo(f"tillflow: {why}", err=True)
    return typer.Exit(1)
