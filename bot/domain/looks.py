"""Where the next look at an order is best spent, when there are more orders than looks.

A code that came is seen at the next look, so an order that is read every T seconds shows its code T/2 seconds late on
average, if one comes at all. For a fixed number of looks those delays are least in sum where each order is read in
proportion to the square root of its odds. Fairness comes before that: nobody is read less often than `MOST` times more
rarely than everybody would be if all were read alike.
"""

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST: Final = 3.0
"""No order waits longer for a look than so many times what it would with equal shares."""

_PLANNED: Final = 2.5
"""The longest wait that is planned; the rest up to `MOST` is for looks that have to queue."""

_AGES: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 240.0, 600.0)
"""Seconds since the number was rented at which the odds change."""

_BELIEVED: Final = (0.005, 0.03, 0.03, 0.02, 0.008, 0.002, 0.0006, 0.0003)
"""First SMS a second at each age, before anything was seen: most come within a minute, hardly any after four."""

_BELIEF: Final = 20.0
"""Orders that it takes to see to count as much as what was believed before."""

_SECOND_SMS: Final = 0.0005
"""SMS a second once the first one came."""

_ROUNDS: Final = 20
"""Halvings of a range of scales that spans powers of ten: the budget is met to a hundred-thousandth."""

Place = tuple[str, str]
"""Platform and country."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One order's wait for its first SMS: how many seconds, and whether the SMS ended it."""

    place: Place
    seconds: float
    came: bool


class Odds:
    """How likely it is that a first SMS comes right now, by age and place; learned from how it went lately."""

    def __init__(self, waits: Iterable[Wait] = ()) -> None:
        everywhere = _Tally()
        places: dict[Place, _Tally] = {}
        for wait in waits:
            everywhere.note(wait)
            places.setdefault(wait.place, _Tally()).note(wait)
        self._general = everywhere.odds(_BELIEVED)
        self._of: Mapping[Place, Sequence[float]] = {
            place: tally.odds(self._general) for place, tally in places.items()
        }

    def first_sms(self, place: Place, age: float) -> float:
        """First SMS a second, for an order of that age (seconds)."""
        return self._of.get(place, self._general)[bisect.bisect_right(_AGES, age)]

    @staticmethod
    def second_sms() -> float:
        """SMS a second for an order that has one already."""
        return _SECOND_SMS


class _Tally:
    """SMS that came at each age, and seconds that were waited there."""

    def __init__(self) -> None:
        self._came = [0] * len(_BELIEVED)
        self._waited = [0.0] * len(_BELIEVED)

    def note(self, wait: Wait) -> None:
        begins = 0.0
        for place, ends in enumerate((*_AGES, math.inf)):
            self._waited[place] += max(0.0, min(wait.seconds, ends) - begins)
            begins = ends
        if wait.came:
            self._came[bisect.bisect_right(_AGES, wait.seconds)] += 1

    def odds(self, believed: Sequence[float]) -> list[float]:
        """What was seen, leaning on what was believed before for as long as little was seen."""
        found = []
        begins = 0.0
        for place, ends in enumerate((*_AGES, 2 * _AGES[-1])):
            weight = _BELIEF * (ends - begins)
            found.append((believed[place] * weight + self._came[place]) / (weight + self._waited[place]))
            begins = ends
        return found


def intervals(odds: Sequence[float], least: Sequence[float], rate: float) -> list[float]:
    """Seconds between two looks at each order, if `rate` looks a second may be used.

    `odds` are SMS a second, greater than 0; `least` are the seconds below which looking more often is no use.
    """
    if sum(1 / seconds for seconds in least) <= rate:
        return list(least)
    slowest = _PLANNED * len(odds) / rate
    most = [max(seconds, slowest) for seconds in least]
    roots = [math.sqrt(chance) for chance in odds]
    orders = list(zip(roots, least, most, strict=True))
    low = min(1 / (root * longest) for root, _, longest in orders)
    high = max(1 / (root * shortest) for root, shortest, _ in orders)
    for _ in range(_ROUNDS):
        scale = math.sqrt(low * high)
        used = sum(1 / seconds for seconds in _scaled(orders, scale))
        low, high = (low, scale) if used > rate else (scale, high)
    return _scaled(orders, low)


def _scaled(orders: Iterable[tuple[float, float, float]], scale: float) -> list[float]:
    """The intervals at one scale, for each order's root of the odds, shortest and longest interval.

    Twenty times for each order and plan, so without the calls of min and max: they cost half as much again.
    """
    return [
        longest if (every := 1 / (scale * root)) > longest else shortest if every < shortest else every  # noqa: FURB136
        for root, shortest, longest in orders
    ]
