"""A run in pieces, each of them a fresh stack: finished ones are not run again."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos.disk import SmallDisk
from chaos.outcome import Outcome, read, write
from chaos.piece import run_piece
from chaos.plan import Plan, draw, pieces
from chaos.planted import Defect, plant
from chaos.report import last_line, table


@dataclass(frozen=True)
class Order:
    """What is to be run. `minutes` is how long the load of one piece may take."""

    seed: int
    payments: int
    kills: int
    piece: int
    minutes: float
    home: Path
    defect: Defect | None = None

    @property
    def folder(self) -> Path:
        """Where its pieces are kept."""
        planted = f"-{self.defect}" if self.defect is not None else ""
        return self.home / f"{self.seed}-{self.payments}-{self.kills}-{self.piece}{planted}"


async def run(order: Order, say: Callable[[str], None], show: Callable[[str], None]) -> bool:
    """Run what is not finished yet, and show it all together; whether all of it is clean. `say` is
    told how far it is, `show` what is to stay."""
    outcomes: list[Outcome] = []
    shares = pieces(order.payments, order.kills, order.piece)
    for number, (payments, kills) in enumerate(shares):
        name = f"piece-{number:02}"
        file, folder = order.folder / f"{name}.json", order.folder / name
        at = f"piece {number + 1} of {len(shares)}"
        outcome = read(file)
        if outcome is None or not outcome.clean:
            plan = draw(order.seed, number, payments, kills)
            SmallDisk(folder / "disk").unmount()  # a run that was killed left it
            shutil.rmtree(folder, ignore_errors=True)
            try:
                outcome = await run_piece(
                    plan,
                    folder,
                    order.minutes,
                    partial(_say_where, say, at),
                    partial(plant, order.defect) if order.defect is not None else None,
                )
            except Exception:
                show(_not_clean(folder, plan))
                raise
            write(outcome, file)
            if outcome.clean:
                shutil.rmtree(folder)
            else:
                show(_not_clean(folder, plan))
        show(f"{at}: {last_line([outcome])}")
        outcomes.append(outcome)
    show(f"\n{table(outcomes)}\n\n{last_line(outcomes)}")
    return all(outcome.clean for outcome in outcomes)


def _not_clean(folder: Path, plan: Plan) -> str:
    return f"\nNot clean. What it left is in {folder}; the plan was\n{plan}\n"


def _say_where(say: Callable[[str], None], where: str, line: str) -> None:
    say(f"{where}: {line}")
