"""`python -m fuzz`: ask the running API what nobody would ask."""

import argparse
import asyncio
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.run import run


def main() -> int:
    """1 where an answer was our own fault, or is not described."""
    asked = _arguments().parse_args()
    # In the open: a run that found something is to be had again.
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    _say(f"seed {seed}: make fuzz SEED={seed} asks the same again")
    with TemporaryDirectory(prefix="tillflow-fuzz-") as folder:
        tally = asyncio.run(run(Path(folder), asked.requests, seed, _say))
    _say("\n".join(tally.lines()))
    return 0 if tally.clean else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="at least so many")
    parser.add_argument("--seed", type=int, help="the same seed asks the same; else a new one")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
