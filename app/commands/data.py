"""`tillflow data …`: the personal data that the database holds."""

import typer

data = typer.Typer(help="Personal data, and the keys it is encrypted with.", no_args_is_help=True)


@data.command()
def rotate() -> None:
    """Encrypt all of it with the newest key: then none of it needs an older one.

    It goes through the orders a page at a time, beside a running service.
    """
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db import rotation

    settings = Settings()
    keyring = settings.keyring()

    async def run() -> int:
        orders = 0
        async with recorded(settings, "data rotate", changes=True) as work:
            async for count in rotation.rotate(work.engine, keyring):
                orders += count
                typer.echo(f"encrypted {orders} orders", err=True)
        return orders

    orders = asyncio.run(run())
    typer.echo(f"{orders} orders encrypted anew; all are under the key {keyring.newest}")


@data.command()
def keys() -> None:
    """Show how many orders, workflows and rows of the audit trail need each key. One that none
    needs can be taken away.

    It reads the history of every workflow that Temporal still has, beside a running service.
    """
    import asyncio
    from collections import Counter

    from temporalio.service import RPCError

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db import audit_check, rotation
    from app.temporal import key_use
    from app.temporal.client import connect

    settings = Settings()
    keyring = settings.keyring()

    async def count() -> tuple[Counter[str], Counter[str], Counter[str]]:
        workflows: Counter[str] = Counter()
        async with recorded(settings, "data keys") as work:
            orders = Counter(await rotation.key_ids(work.engine))
            rows = Counter(await audit_check.key_ids(work.engine))
            try:
                client = await connect(settings)
            except RuntimeError as error:  # it has no narrower type
                raise ConnectionError(error) from None
            async for needed in key_use.key_ids(client, settings.task_queue):
                workflows.update(needed)
        return orders, workflows, rows

    try:
        orders, workflows, rows = asyncio.run(count())
    except (RPCError, ConnectionError) as error:
        where = settings.temporal_address
        typer.echo(f"tillflow: Temporal at {where} does not tell: {error}", err=True)
        raise typer.Exit(1) from None
    for key_id in [*keyring.ids, *sorted((orders + workflows + rows).keys() - set(keyring.ids))]:
        if key_id == keyring.newest:
            told = "the one that encrypts"
        elif orders[key_id] or workflows[key_id]:
            told = "needed" if key_id in keyring.ids else "missing in ENCRYPTION_KEYS"
        else:
            told = "needed by audit verify alone" if rows[key_id] else "can be taken away"
        typer.echo(
            f"{key_id:<33}{orders[key_id]:>9} orders {workflows[key_id]:>9} workflows "
            f"{rows[key_id]:>9} audit rows  {told}"
        )
