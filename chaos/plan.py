"""What is to happen, all of it drawn from a seed: the orders, the kills and the other faults."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from random import Random
from typing import TypeVar

from app.domain.money import Money, exponent
from chaos.stack import PAIRS, PARTS


class Story(StrEnum):
    """What becomes of an order in a world where nothing breaks."""

    PAID = "paid"
    MAILED = "paid, with a receipt"
    DECLINED_FIRST = "declined, then paid"
    CHALLENGED = "3-D Secure, approved"
    TAKEN_BY_HAND = "captured by hand"
    TAKEN_IN_PART = "captured in part"
    CANCELED = "held, then canceled"
    REFUNDED = "refunded"
    REFUNDED_IN_PART = "refunded in part"
    REFUNDED_TWICE = "refunded in two parts"
    SOLD_OUT = "sold out, undone"
    ABANDONED = "3-D Secure, abandoned"
    LEFT_HELD = "held, left so"
    CROWD = "50 identical requests at once"


_STORIES = {
    Story.PAID: 34,
    Story.MAILED: 14,
    Story.DECLINED_FIRST: 8,
    Story.CHALLENGED: 8,
    Story.TAKEN_BY_HAND: 6,
    Story.TAKEN_IN_PART: 5,
    Story.CANCELED: 6,
    Story.REFUNDED: 6,
    Story.REFUNDED_IN_PART: 4,
    Story.REFUNDED_TWICE: 2,
    Story.SOLD_OUT: 3,
    Story.ABANDONED: 2,
    Story.LEFT_HELD: 1,
    Story.CROWD: 1,
}


class Voice(StrEnum):
    """How the gateway's callbacks about an order arrive. It is the end of the order's id."""

    PLAIN = "plain"
    SILENT = "silent"  # never
    TENFOLD = "tenfold"  # ten times each
    SHUFFLED = "shuffled"
    DELAYED = "delayed"


# Of a hundred orders, of which a few never get as far as the gateway. A payment has five events or
# more, so ten times those of 11 orders are over 500 deliveries that nobody needed.
_VOICES = {
    Voice.PLAIN: 47,
    Voice.SILENT: 23,
    Voice.TENFOLD: 11,
    Voice.SHUFFLED: 12,
    Voice.DELAYED: 7,
}
# This share of the orders, at the beginning and at the end.
UNDISTURBED = 0.05
_CURRENCIES = ("usd", "usd", "usd", "eur", "eur", "gbp", "jpy", "kwd")


class What(StrEnum):
    """A way to break things, besides kill -9."""

    LATE_TIME_OUT = "the gateway times out after the work"
    LATE_5XX = "the gateway answers 500 after the work"
    STORM_5XX = "the gateway answers 5xx"
    STORM_429 = "the gateway answers 429"
    FORGED = "forged callbacks"
    CUT = "connections cut"
    STALL = "connections stalled"
    SLOW = "connections slow"
    CLOCK = "the gateway's clock jumps"
    DISK = "the database's disk is full"
    CONNECTIONS = "the database's connections are used up"


@dataclass(frozen=True)
class PlannedOrder:
    """What a shopper buys."""

    order_id: str
    story: Story
    voice: Voice
    amount: Money


@dataclass(frozen=True)
class Kill:
    """kill -9 of `part` once `after` orders were placed; it stays down for `seconds`."""

    after: int
    part: str
    seconds: float


@dataclass(frozen=True)
class Disturbance:
    """Begun once `after` orders were placed. `target` says where, where that is a question;
    `dose` is how many calls, or how many seconds, it is about."""

    after: int
    what: What
    target: str
    dose: float


@dataclass(frozen=True)
class Plan:
    """One piece of a run."""

    seed: int
    piece: int
    orders: tuple[PlannedOrder, ...]
    kills: tuple[Kill, ...]
    disturbances: tuple[Disturbance, ...]

    def __str__(self) -> str:
        """For people: everything but the single orders, which the seed tells."""
        stories = Counter(order.story for order in self.orders)
        voices = Counter(order.voice for order in self.orders)
        return "\n".join(
            [
                f"seed {self.seed}, piece {self.piece}: {len(self.orders)} orders",
                *(f"  {count:5} x {story}" for story, count in stories.most_common()),
                *(f"  {count:5} x callbacks {voice}" for voice, count in voices.most_common()),
                *(
                    f"  after {kill.after:5}: kill {kill.part}, down {kill.seconds:g} s"
                    for kill in self.kills
                ),
                *(
                    f"  after {each.after:5}: {each.what}: {each.target} {each.dose:g}".rstrip()
                    for each in self.disturbances
                ),
            ]
        )


def draw(seed: int, piece: int, orders: int, kills: int) -> Plan:
    """The plan of one piece. The same numbers draw the same plan."""
    random = Random(f"{seed}/{piece}")  # noqa: S311 - it has to be predictable
    wanted = _orders(random, f"c{seed}p{piece}", orders)
    return Plan(
        seed,
        piece,
        tuple(wanted),
        tuple(_kills(random, orders, kills)),
        tuple(_disturbances(random, wanted)),
    )


def _orders(random: Random, name: str, count: int) -> list[PlannedOrder]:
    stories = _shares(random, _STORIES, count)
    voices = _shares(random, _VOICES, count)
    return [
        PlannedOrder(f"{name}n{number}-{voice}", story, voice, _amount(random))
        for number, (story, voice) in enumerate(zip(stories, voices, strict=True))
    ]


def _amount(random: Random) -> Money:
    """Fit for every currency: the last digit of three decimals is 0."""
    currency = random.choice(_CURRENCIES)
    minor = random.randrange(500, 50_000)
    return Money(minor * 10 if exponent(currency) == 3 else minor, currency)


def _kills(random: Random, orders: int, count: int) -> list[Kill]:
    """Spread over the run and over the parts, each part about as often."""
    parts = [PARTS[number % len(PARTS)] for number in range(count)]
    random.shuffle(parts)
    return [
        Kill(_moment(random, orders, number, count), part, round(random.uniform(0, 1.5), 2))
        for number, part in enumerate(parts)
    ]


def _disturbances(random: Random, orders: Sequence[PlannedOrder]) -> list[Disturbance]:
    """As many as the orders ask for, each kind at least once."""
    some = max(1, len(orders) // 300)
    wanted: list[tuple[What, str, float]] = []
    left = max(3, len(orders) * 17 // 100)
    while left > 0:
        burst = min(left, random.randint(2, 6))
        way = random.choice(("hang", "drop", "drop"))
        wanted.append((What.LATE_TIME_OUT, way, burst))
        left -= burst
    for _ in range(some):
        wanted.append((What.LATE_5XX, "500", random.randint(2, 4)))
        wanted.append((What.STORM_5XX, random.choice(("500", "503")), random.randint(10, 25)))
        wanted.append((What.STORM_429, "429", random.randint(10, 25)))
        wanted.append((What.CLOCK, random.choice(("ahead", "behind")), 5))
        wanted.append((What.CONNECTIONS, "", 4))
    wanted += [
        (What.FORGED, random.choice(orders).order_id, 3) for _ in range(max(3, len(orders) // 50))
    ]
    pairs = random.sample(PAIRS, len(PAIRS))
    for number in range(max(len(pairs), some * len(pairs) // 2)):
        how = (What.CUT, What.STALL, What.SLOW)[number % 3]
        wanted.append((how, pairs[number % len(pairs)], round(random.uniform(2, 6), 1)))
    wanted.append((What.DISK, "", 4))
    random.shuffle(wanted)
    return [
        Disturbance(_moment(random, len(orders), number, len(wanted)), *each)
        for number, each in enumerate(wanted)
    ]


_T = TypeVar("_T")


def _shares(random: Random, weights: dict[_T, int], count: int) -> list[_T]:
    """Each as often as it weighs, at least once where there is room, in any order."""
    total = sum(weights.values())
    exact = [each for each, weight in weights.items() for _ in range(count * weight // total)]
    missing = [each for each in weights if each not in exact]
    rest = random.choices(list(weights), list(weights.values()), k=count)
    drawn = [*missing, *exact, *rest][:count]
    random.shuffle(drawn)
    return drawn


def _moment(random: Random, orders: int, number: int, of: int) -> int:
    """After how many orders the `number`th of so many comes: evenly, give or take. The first and
    the last ones are left in peace: to measure by, and to have enough of them."""
    share = UNDISTURBED + (1 - 2 * UNDISTURBED) * (number + random.random()) / of
    return int(orders * share)


def pieces(orders: int, kills: int, size: int) -> Sequence[tuple[int, int]]:
    """How many orders and kills each piece has: `size` orders, the last one what is left."""
    count = -(-orders // size)
    cuts = [(min(orders, n * size), kills * n // count) for n in range(count + 1)]
    return [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(cuts)]
