"""`python -m bench`: what things cost, on the embedded stack."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from app.embedded.ports import Ports
from app.embedded.stack import Stack
from bench import callbacks


def main() -> None:
    """Prints a line for each measurement."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--callbacks", type=int, default=1000, help="for each measurement")
    asyncio.run(_run(parser.parse_args().callbacks))


async def _run(how_many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(Path(folder), Ports.free(), _say) as stack:
            await stack.start()
            await callbacks.compare(stack, how_many, _say)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
