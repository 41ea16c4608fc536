"""`tillflow …`. Each command imports what it needs when it runs, so that help is quick."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from app.embedded.errors import StackError

app = typer.Typer(
    help="A payment service for storefronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stock = typer.Typer(help="What is on the shelf.", no_args_is_help=True)
app.add_typer(stock, name="stock")


@app.command()
def run(
    once: Annotated[
        bool, typer.Option("--once", help="End when the sample order is fulfilled.")
    ] = False,
) -> None:
    """Run everything on this machine and place a sample order."""
    from app.embedded.run import run as run_stack

    run_stack(once=once)


@app.command()
def api() -> None:
    """Serve the HTTP API."""
    import uvicorn

    from app.config import Settings

    settings = Settings()
    uvicorn.run(
        "app.api.main:create_app",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than a client's or a load balancer's pool keeps a connection, so that it is not
        # closed under a request that is just being sent.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=25,
    )


@app.command()
def worker() -> None:
    """Run the Temporal worker."""
    import worker as program

    program.main()


@app.command()
def migrate() -> None:
    """Bring the database schema up to date."""
    from app.config import Settings
    from app.db.migrate import migrate as apply_migrations

    apply_migrations(Settings().database_url.get_secret_value())


@stock.command("set")
def set_stock(sku: str, quantity: Annotated[int, typer.Argument(min=0)]) -> None:
    """Say how many pieces of an article there are."""
    import asyncio

    from app.config import Settings
    from app.db.engine import create_engine
    from app.fulfilment import reserve_stock

    async def write() -> None:
        engine = create_engine(Settings().database_url.get_secret_value())
        try:
            await reserve_stock.set_stock(engine, sku, quantity)
        finally:
            await engine.dispose()

    asyncio.run(write())


def main() -> None:
    """The console script: an error a person can act on is one line, not a traceback."""
    try:
        app()
    except StackError as error:
        print(f"tillflow: {error}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)
        sys.exit(1)
    except ValidationError as error:
        names = ", ".join(str(each["loc"][0]).upper() for each in error.errors())
        print(f"tillflow: missing or wrong settings: {names}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
