"""A short budget of looks, spent three ways: alike on all, by age alone, and by what was learned.

    python -m benchmarks.looks --minutes 120

The guide's contract has no list, so each look is one request, and watching may use four a second. Simulated, not run: a
desk whose orders come and go so that always `orders` of them live; four kinds of place, whose codes come after 15 to 90
seconds in the middle (log-normal) or, for 15 to 60 orders in a hundred, never. What is simulated decides with the very
functions that the desk decides with, `bot.domain.looks`.
"""

import argparse
import math
import random
from dataclasses import dataclass
from typing import Final

from benchmarks.report import Report, Spread, leave
from bot.domain.looks import MOST, Odds, Place, Wait, intervals

RATE: Final = 4.0
"""Looks a second: four fifths of 300 requests a minute; the rest is kept for commands."""

INTERVAL: Final = 5.0
LIFETIME: Final = 1200.0
AFTER_CODE: Final = 60.0
WARM_UP: Final = 900.0
PLANNED: Final = 0.97
PLACES: Final[dict[Place, tuple[float, float]]] = {
    ("whatsapp", "indonesia"): (20.0, 0.15),
    ("telegram", "indonesia"): (15.0, 0.25),
    ("whatsapp", "vietnam"): (60.0, 0.5),
    ("google", "poland"): (90.0, 0.6),
}
"""Seconds to the code in the middle, and the share that never gets one."""

_SPREAD: Final = 0.9


@dataclass(slots=True)
class Live:
    """A simulated order: born, its code due at `comes` (or never), looked at last, shown."""

    place: Place
    born: float
    comes: float
    looked: float
    due: float
    shown: bool = False

    @property
    def ends(self) -> float:
        return min(self.born + LIFETIME, self.comes + AFTER_CODE if self.shown else math.inf)


class World:
    """Always as many live orders as asked for, and what the looks at them show."""

    def __init__(self, orders: int, seed: int) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.waits: list[Wait] = []
        self.delays: list[float] = []
        self.longest = 0.0
        self.looks = 0
        self.orders = [self._new() for _ in range(orders)]

    def _new(self) -> Live:
        place = self.dice.choice(list(PLACES))
        middle, never = PLACES[place]
        wait = math.inf if self.dice.random() < never else self.dice.lognormvariate(math.log(middle), _SPREAD)
        comes = self.now + wait if wait < LIFETIME else math.inf
        return Live(place, self.now, comes, self.now, self.now + INTERVAL)

    def replace_ended(self) -> None:
        for number, order in enumerate(self.orders):
            if order.ends <= self.now:
                came = order.comes < math.inf
                self.waits.append(Wait(order.place, min(order.comes, order.born + LIFETIME) - order.born, came=came))
                self.orders[number] = self._new()

    def look(self, order: Live) -> None:
        counts = self.now > WARM_UP
        self.looks += 1
        if counts:
            self.longest = max(self.longest, self.now - order.looked)
        order.looked = self.now
        if not order.shown and order.comes <= self.now:
            order.shown = True
            if counts:
                self.delays.append(self.now - order.comes)


def alike(world: World, seconds: float) -> None:
    """Whoever was looked at longest ago is next."""
    while world.now < seconds:
        world.replace_ended()
        order = min(world.orders, key=lambda order: order.looked)
        world.now = max(world.now, order.looked + INTERVAL)
        world.look(order)
        world.now += 1 / RATE


def by_odds(world: World, seconds: float, *, learning: bool) -> None:
    """As the desk does it: planned each second, learned anew each ten minutes."""
    odds, plan_due, learned = Odds(), 0.0, 0.0
    while world.now < seconds:
        world.replace_ended()
        if learning and world.now - learned >= 600:
            odds, learned = Odds(world.waits[-1000:]), world.now
        if world.now >= plan_due:
            plan_due = world.now + 1
            chances = [
                odds.second_sms() if order.shown else odds.first_sms(order.place, world.now - order.born)
                for order in world.orders
            ]
            least = [INTERVAL * (3 if order.shown else 1) for order in world.orders]
            for order, every in zip(world.orders, intervals(chances, least, RATE * PLANNED), strict=True):
                order.due = order.looked + every
        order = min(world.orders, key=lambda order: order.due)
        if order.due > world.now:
            world.now = min(order.due, plan_due)
            continue
        world.look(order)
        order.due = world.now + INTERVAL
        world.now += 1 / RATE


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="*", default=[25, 100, 300])
    parser.add_argument("--minutes", type=float, default=45.0)
    arguments = parser.parse_args()
    report = Report("looks")
    for orders in arguments.orders:
        means = {}
        for name in ("alike", "by age", "learned"):
            world, seconds = World(orders, seed=orders), WARM_UP + arguments.minutes * 60
            if name == "alike":
                alike(world, seconds)
            else:
                by_odds(world, seconds, learning=name == "learned")
            spread, share = Spread.of(world.delays), max(INTERVAL, orders / RATE)
            means[name] = spread.mean
            report.add(
                "From readable to read, over the guide at four looks a second: seconds (simulated)",
                orders=orders,
                looks=name,
                codes=spread.count,
                mean=spread.mean,
                median=spread.median,
                p99=spread.p99,
                of_alike=spread.mean / means["alike"],
                longest_wait_in_shares=world.longest / share,
                looks_a_minute=60 * world.looks / world.now,
            )
            if name == "learned" and orders > RATE * INTERVAL:
                # An order with a code is looked at every 15 s at most, whatever its share is.
                fair = world.longest <= max(MOST * share, 3 * INTERVAL + 1)
                report.bar(f"{orders} orders: nobody waits longer than three equal shares", holds=fair)
        if orders == 100:
            report.bar("100 orders: mean ≤ 7 s", holds=means["learned"] <= 7)
            report.bar("100 orders: ≥ 25 % better than alike", holds=means["learned"] <= 0.75 * means["alike"])
    leave(report)


if __name__ == "__main__":
    main()
