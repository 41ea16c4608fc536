"""Mutated callbacks, sent to the running API: none may be believed.

python -m tests.doors.mutate --count 20000 --seed 1   on a stack of its own

The same seed changes the same things; ids, times and secrets are new each time. No mutation is what
leaves the signed bytes and a right signature in place: white space around a header's value, the
case of its name, headers that are not part of the signature, a further field in `Stripe-Signature`
or a further signature in `webhook-signature` (both forms allow several). What comes out as such, or
unchanged, is drawn again, and counted as `drawn again`.
"""

import argparse
import asyncio
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from app.embedded.ports import Ports
from app.embedded.stack import Stack
from tests.doors.forms import Callback, Form, GenericForm, StripeForm
from tests.doors.mutations import FLIPS, KINDS, Mutation
from tests.doors.wire import Wire
from tests.walk.running import CALLBACK, Running, by_token, new_order

_CONNECTIONS = 8
_EVERY = 100  # one in so many is left as it is, and must be taken
# Two of three are bit flips; the rest is each other kind in turn.
_IN_TURN = [kind for other in sorted(KINDS.keys() - set(FLIPS)) for kind in (other, *FLIPS)]


@dataclass
class Figures:
    """What became of them."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """What was answered neither 400 nor 413, for whom it concerns."""
    drawn_again: int = 0
    unchanged: int = 0
    unchanged_taken: int = 0
    stored: int = 0
    """Rows beyond those of the unchanged ones."""

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.statuses.items() if status < 400)

    @property
    def faults(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 500)

    @property
    def good(self) -> bool:
        """Nothing came in but what was left as it is, and nothing fell over."""
        taken = self.unchanged > 0 and self.unchanged_taken == self.unchanged
        return taken and not self.wrong and not self.stored

    def __str__(self) -> str:
        return (
            f"mutations: {self.sent.total()} callbacks in {len(self.sent)} ways: "
            f"{self.accepted} accepted, {self.faults} answered 5xx, {self.stored} stored; "
            f"left as they are: {self.unchanged_taken} of {self.unchanged} taken"
        )


async def send_mutations(running: Running, count: int, seed: int) -> Figures:
    """Send `count` mutated callbacks to the API, and in between some that are as they should be."""
    order_id = new_order("mutated")
    await running.taken_on(by_token(order_id))
    order = await running.until(order_id)
    await running.callbacks_delivered(order_id)
    secrets = running.credentials
    forms: tuple[Form, ...] = (
        StripeForm(secrets.stripe_webhook_secret, order_id, order["transaction_id"]),
        GenericForm(secrets.callback_secret, order_id),
    )
    figures = Figures()
    async with running.deliveries_held():
        before = await _stored(running)
        await asyncio.gather(
            *(
                _send(running.stack.api_url, forms, range(at, count, _CONNECTIONS), seed, figures)
                for at in range(_CONNECTIONS)
            )
        )
        figures.stored = await _stored(running) - before - figures.unchanged_taken
    return figures


async def _send(
    url: str, forms: Sequence[Form], numbers: range, seed: int, figures: Figures
) -> None:
    async with Wire(url) as wire:
        for number in numbers:
            draw = random.Random(f"{seed} {number}")  # noqa: S311 - it must be the same each time
            form = forms[number % len(forms)]
            kind = _IN_TURN[number // len(forms) % len(_IN_TURN)]
            mutated = _mutated(draw, form, KINDS[kind], figures)
            figures.sent[f"{form.name}: {kind}"] += 1
            try:
                status = (await wire.ask("POST", CALLBACK, mutated.headers, mutated.body)).status
            except (OSError, EOFError):
                wire.close()
                status = 0
            figures.statuses[status] += 1
            if status not in (400, 413):
                figures.wrong.append(f"{number} {form.name}: {kind}: {status} {mutated}"[:2000])
            if number % _EVERY == 0:
                good = form.callback(form.body())
                figures.unchanged += 1
                answer = await wire.ask("POST", CALLBACK, good.headers, good.body)
                figures.unchanged_taken += answer.status == 200


def _mutated(draw: random.Random, form: Form, mutation: Mutation, figures: Figures) -> Callback:
    while True:
        good = form.callback(form.body())
        changed = mutation(draw, form, good)
        # A line break makes two headers of one.
        several = any(b"\n" in value or b"\r" in value for _, value in changed.headers)
        if not several and not form.is_signed(changed, good):
            return changed
        figures.drawn_again += 1


async def _stored(running: Running) -> int:
    [(count,)] = await running.query("SELECT count(*) FROM callbacks")
    assert isinstance(count, int)
    return count


async def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    with TemporaryDirectory(prefix="tillflow-mutations-") as folder:
        async with Stack(Path(folder), Ports.free(), print) as stack:
            await stack.start()
            running = Running(stack)
            figures = await send_mutations(running, asked.count, asked.seed)
            await running.close()
    for name, value in (("statuses", dict(figures.statuses)), ("drawn again", figures.drawn_again)):
        print(f"{name}: {value}")
    print(*figures.wrong[:20], sep="\n")
    print(figures)
    return 0 if figures.good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
