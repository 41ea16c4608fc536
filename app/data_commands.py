"""`tillflow data …`: the personal data that the database holds."""

import typer

data = typer.Typer(help="Personal data, and the keys it is encrypted with.", no_args_is_help=True)


@data.command()
def rotate() -> None:
    """Encrypt all of it with the newest key: then an older one can be taken away.

    It goes through the orders a page at a time, beside a running service.
    """
    import asyncio

    from app.config import Settings
    from app.db import rotation
    from app.recorded import recorded

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
    """Show how many orders and workflows need each key. One that none needs can be taken away.

    It reads the history of every workflow that Temporal still has, beside a running service.
    """
    import asyncio
    from collections import Counter

    from temporalio.service import RPCError

    from app.config import Settings
    from app.db import rotation
    from app.recorded import recorded
    from app.temporal import key_use
    from app.temporal.client import connect

    settings = Settings()
    keyring = settings.keyring()

    async def count() -> tuple[dict[str, int], Counter[str]]:
        workflows: Counter[str] = Counter()
        async with recorded(settings, "data keys") as work:
            orders = await rotation.key_ids(work.engine)
            async for needed in key_use.key_ids(await connect(settings), settings.task_queue):
                workflows.update(needed)
        return orders, workflows

    try:
        orders, workflows = asyncio.run(count())
    except (RPCError, RuntimeError):  # RuntimeError: it could not even connect
        where = settings.temporal_address
        typer.echo(f"tillflow: Temporal cannot be reached at {where}", err=True)
        raise typer.Exit(1) from None
    for key_id in [*keyring.ids, *sorted((orders.keys() | workflows.keys()) - set(keyring.ids))]:
        of_orders, of_workflows = orders.get(key_id, 0), workflows[key_id]
        if key_id not in keyring.ids:
            told = "missing in ENCRYPTION_KEYS"
        elif key_id == keyring.newest:
            told = "the one that encrypts"
        else:
            told = "needed" if of_orders or of_workflows else "can be taken away"
        typer.echo(f"{key_id:<33}{of_orders:>9} orders {of_workflows:>9} workflows  {told}")
