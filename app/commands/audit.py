"""`tillflow audit …`: who did what, and whether that is what was written."""

from datetime import UTC, datetime
from typing import Annotated

import typer

audit = typer.Typer(help="Who did what.", no_args_is_help=True)
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@audit.command()
def verify(
    known: Annotated[
        str | None, typer.Option(help="An end that this command has told before, and you kept.")
    ] = None,
) -> None:
    """Check every row. Exits with 1, and names the first row, where one was altered."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db.audit_check import AlteredError, End
    from app.db.audit_check import verify as verify_trail

    settings = Settings()
    try:
        kept = End.read(known) if known is not None else None
    except ValueError:
        raise typer.BadParameter("that is no end of a trail", param_hint="--known") from None

    async def run() -> End:
        async with recorded(settings, "audit verify") as work:
            return await verify_trail(work.engine, settings.keyring(), kept)

    try:
        end = asyncio.run(run())
    except AlteredError as error:
        typer.echo(f"the audit trail was altered: {error}")
        raise typer.Exit(1) from None
    typer.echo(f"{end.number} rows, as they were written; the end is {end}")


@audit.command("list")
def list_entries(
    object_: Annotated[
        str | None, typer.Option("--object", help="An order, a key, an article.")
    ] = None,
    client: Annotated[str | None, typer.Option(help="Who did it.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=_TIMES, help="UTC.")] = None,
) -> None:
    """Show what was done, the oldest first."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db.audit_check import entries

    async def run() -> None:
        moment = since.replace(tzinfo=UTC) if since is not None else None
        async with recorded(Settings(), "audit list") as work:
            async for page in entries(work.engine, object_, client, moment):
                for entry in page:
                    action = entry.action
                    told = (
                        entry.number,
                        f"{action.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
                        action.source,
                        action.who or "-",
                        action.key_id or "-",
                        action.object or "-",
                        action.result,
                        action.what,
                    )
                    line = "  ".join(map(str, told))
                    # Who somebody is for a client, that client may write as it likes.
                    typer.echo(
                        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
                    )

    asyncio.run(run())
