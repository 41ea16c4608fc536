"""`python -m chaos`: break everything, and see whether a cent goes missing."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from chaos.planted import Defect
from chaos.run import Order, run


def main() -> None:
    """Exits with 1 when anything was charged twice, lost, unexplained or different."""
    asked = _arguments().parse_args()
    order = Order(
        seed=asked.seed,
        payments=asked.payments,
        kills=asked.kills,
        piece=asked.piece,
        minutes=asked.minutes,
        home=asked.home,
        defect=asked.plant,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        clean = asyncio.run(run(order, _say, _show))
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on with the piece that was not finished")
    sys.exit(0 if clean else 1)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--payments", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same plan")
    parser.add_argument("--piece", type=int, default=1000, help="payments on one fresh stack")
    parser.add_argument("--minutes", type=float, default=8, help="for the load of one piece")
    parser.add_argument("--home", type=Path, default=Path(".tillflow/chaos"))
    parser.add_argument("--plant", type=Defect, choices=list(Defect), help="a defect to be found")
    return parser


def _say(line: str) -> None:
    """How far it is: one line that changes, or on no terminal a line each time."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="", flush=True)
    else:
        print(line, flush=True)


def _show(text: str) -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    print(text, flush=True)


if __name__ == "__main__":
    main()
