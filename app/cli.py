"""`tillflow …`. Each command imports what it needs when it runs, so that help is quick."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from app.commands.audit import audit
from app.commands.data import data
from app.commands.keys import keys
from app.commands.ledger import ledger
from app.domain.records import RecordsUnavailableError
from app.embedded.errors import StackError
from app.logs import TalkativeError

if TYPE_CHECKING:
    from app.config import DataSettings

# All told, a process that is told to end has 25 seconds; some are for letting go of connections.
DRAIN_SECONDS = 22

app = typer.Typer(
    help="A payment service for storefronts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
stock = typer.Typer(help="What is on the shelf.", no_args_is_help=True)
app.add_typer(stock, name="stock")
app.add_typer(audit, name="audit")
app.add_typer(ledger, name="ledger")
app.add_typer(keys, name="keys")
app.add_typer(data, name="data")


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
    from app.config import ApiSettings

    settings = ApiSettings()
    _serve("app.api.main:create_app", settings, settings.api_host, settings.api_port)


@app.command()
def codec() -> None:
    """Serve the codec server: by it the Temporal UI shows operators what is encrypted."""
    from app.config import DataSettings

    settings = DataSettings()
    _serve("app.codec_server.main:create_app", settings, settings.codec_host, settings.codec_port)


def _serve(factory: str, settings: "DataSettings", host: str, port: int) -> None:
    import os
    import resource
    import signal

    import uvicorn

    from app.api.serving import options

    # Each connection is an open file. Those that come at once are all open before any is closed.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # When it has finished, uvicorn sends itself the signal again: a clean end is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        uvicorn.run(
            factory,
            factory=True,
            **options(settings),
            host=host,
            port=port,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    except SystemExit as end:
        # Temporal's own threads may still be about, and would abort a Python that is shutting
        # down around them.
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)


@app.command()
def worker() -> None:
    """Run the Temporal worker."""
    import worker as program

    program.main()


@app.command()
def migrate() -> None:
    """Bring the database schema up to date."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import DataSettings
    from app.db.migrate import migrate as apply_migrations
    from app.db.roles import RoleError

    settings = DataSettings()
    service_url = settings.database_url
    owner_url = settings.database_owner_url or service_url
    failure: BaseException | None = None
    try:
        apply_migrations(owner_url.get_secret_value(), service_url.get_secret_value())
    except BaseException as error:
        failure = error

    async def record() -> None:
        # Only now: before, the trail may not have been there. As the owner: the service's role may
        # be what failed.
        async with recorded(settings, "migrate", database_url=owner_url):
            if failure is not None:
                raise failure

    try:
        asyncio.run(record())
    except RoleError as error:
        print(f"tillflow: {error}", file=sys.stderr)
        sys.exit(1)


@app.command()
def reconcile(
    since: Annotated[datetime, typer.Option(formats=_TIMES, help="UTC.")],
    until: Annotated[
        datetime | None, typer.Option(formats=_TIMES, help="UTC, not included; now if left out.")
    ] = None,
) -> None:
    """Compare a period with the gateway's books. Exits with 1 where they differ."""
    import asyncio

    from app.commands import reconcile as comparing
    from app.commands.recorded import recorded
    from app.config import Settings
    from app.domain.gateway import Period
    from app.domain.reconciliation import Report

    period = Period(since.replace(tzinfo=UTC), (until or datetime.now(UTC)).replace(tzinfo=UTC))
    if period.since >= period.until:
        raise typer.BadParameter("it is not before the end of the period", param_hint="--since")

    async def compare() -> Report:
        settings = Settings()
        async with recorded(settings, "reconcile", changes=True):
            return await comparing.reconcile(
                settings, period, lambda at: typer.echo(f"{at} …", err=True)
            )

    try:
        report = asyncio.run(compare())
    except comparing.NoTemporalError as error:
        print(f"tillflow: {error}", file=sys.stderr)
        sys.exit(1)
    typer.echo("\n".join(comparing.lines(report)))
    if report.difference_count:
        sys.exit(1)


@stock.command("set")
def set_stock(sku: str, quantity: Annotated[int, typer.Argument(min=0)]) -> None:
    """Say how many pieces of an article there are."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.domain.card_numbers import holds_card_number
    from app.fulfilment import reserve_stock

    if holds_card_number(sku):
        raise typer.BadParameter("this looks like a card number", param_hint="SKU")

    async def write() -> None:
        async with recorded(Settings(), "stock set", sku, changes=True) as work:
            await reserve_stock.set_stock(work.engine, sku, quantity)

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
    except (RecordsUnavailableError, TalkativeError) as error:
        print(f"tillflow: {error}", file=sys.stderr)
        sys.exit(1)
    except ValidationError as error:
        from app.config import faults

        lines = "".join(f"\n  {fault}" for fault in faults(error))
        print(f"tillflow: these settings are missing or not fit:{lines}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
