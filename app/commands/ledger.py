"""`tillflow ledger …`: what the ledger holds, and whether it is right."""

import sys

import typer

ledger = typer.Typer(help="Where the money is, in double entry.", no_args_is_help=True)


@ledger.command()
def balances() -> None:
    """Show the balance of every account and currency."""
    import asyncio

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db import journal
    from app.domain.ledger import Account, Balances
    from app.domain.money import shown

    async def read() -> Balances:
        async with recorded(Settings(), "ledger balances") as work:
            return await journal.balances(work.engine)

    there = asyncio.run(read())
    order = list(Account)
    for account, currency in sorted(there, key=lambda place: (order.index(place[0]), place[1])):
        typer.echo(f"{account:<20}{shown(there[account, currency], currency):>20}")


@ledger.command()
def check() -> None:
    """Recompute every balance from the facts. Exits with 1 if any differs, or any sum is not zero.

    It reads a page of orders at a time, beside a running service.
    """
    import asyncio
    from collections import Counter

    from app.commands.recorded import recorded
    from app.config import Settings
    from app.db import journal, ledger_check
    from app.domain.money import shown

    async def run() -> bool:
        orders, wrong = 0, 0
        async with recorded(Settings(), "ledger check") as work:
            async for page in ledger_check.check(work.engine):
                orders += page.orders
                wrong += len(page.differences)
                for found in page.differences:
                    facts, kept = (
                        shown(minor, found.currency)
                        for minor in (found.by_the_facts, found.in_the_journal)
                    )
                    typer.echo(
                        f"{found.order_id}: {found.account} is {kept}, its facts say {facts}"
                    )
                typer.echo(f"checked {orders} orders", err=True)
            sums: Counter[str] = Counter()
            for (_, currency), minor in (await journal.balances(work.engine)).items():
                sums[currency] += minor
        for currency, minor in sorted(sums.items()):
            if minor:
                wrong += 1
                typer.echo(f"the sum in {currency} is {shown(minor, currency)}, not zero")
        typer.echo(f"{orders} orders, {wrong} differences")
        return wrong == 0

    if not asyncio.run(run()):
        sys.exit(1)
