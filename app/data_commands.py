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
    from app.db.engine import create_engine

    settings = Settings()
    keyring = settings.keyring()

    async def run() -> int:
        engine = create_engine(settings.database_url.get_secret_value())
        orders = 0
        try:
            async for count in rotation.rotate(engine, keyring):
                orders += count
                typer.echo(f"encrypted {orders} orders", err=True)
        finally:
            await engine.dispose()
        return orders

    orders = asyncio.run(run())
    typer.echo(f"{orders} orders encrypted anew; all are under the key {keyring.newest}")


# With one command only, typer would leave its name out.
@data.callback()
def _commands() -> None:
    pass
