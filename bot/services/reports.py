"""Who spent what, how often it led to a code, and how fast: read from the books, a day at a time."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from bot.domain.periods import Period
from bot.services.desk import Desk
from storage import members, reports
from storage.reports import Spending


class By(StrEnum):
    """What a report is broken down by."""

    DAY = "day"
    MEMBER = "member"
    PLATFORM = "platform"
    COUNTRY = "country"


@dataclass(slots=True)
class Totals:
    """Some orders together: how many were placed, wait, have a code, and what they cost (IDR)."""

    placed: int = 0
    waiting: int = 0
    codes: int = 0
    spent: int = 0
    held: int = 0
    seconds: Counter[int] = field(default_factory=Counter)

    def add(self, some: Spending) -> None:
        """Take more orders in."""
        self.placed += some.placed
        self.waiting += some.waiting
        self.spent += some.spent
        self.held += some.held
        if some.seconds is not None:
            self.codes += some.placed
            self.seconds[some.seconds] += some.placed

    @property
    def success(self) -> float | None:
        """The share of orders with a code among those that have one or will not get one any more."""
        decided = self.placed - self.waiting
        return self.codes / decided if decided > 0 else None

    @property
    def typical_seconds(self) -> int | None:
        """The median time to the code."""
        middle = (self.seconds.total() + 1) // 2
        for seconds in sorted(self.seconds):
            middle -= self.seconds[seconds]
            if middle <= 0:
                return seconds
        return None


@dataclass(frozen=True, slots=True)
class Report:
    """A period's orders: all of them, and broken down, each list with the dearest first (days in their order)."""

    period: Period
    total: Totals
    parts: Mapping[By, list[tuple[str, Totals]]]


def today(desk: Desk) -> date:
    """The team's date now."""
    return date.fromisoformat(desk.calendar.window.day)


async def spend(desk: Desk, period: Period) -> Report:
    """The report of a period. An order belongs to the day it was reserved in, as its limits do."""
    names = await _names(desk)
    total, days = Totals(), {day: Totals() for day in period.days}
    groups: dict[By, dict[str, Totals]] = {By.MEMBER: {}, By.PLATFORM: {}, By.COUNTRY: {}}
    for day in period.days:
        for some in await desk.database.read(_of_day(day)):
            name = names.get(some.member_id, str(some.member_id))
            keys = {By.MEMBER: name, By.PLATFORM: some.platform, By.COUNTRY: some.country}
            for totals in (total, days[day], *(groups[by].setdefault(key, Totals()) for by, key in keys.items())):
                totals.add(some)
    parts = {by: _dearest_first(group.items()) for by, group in groups.items()}
    return Report(period, total, {By.DAY: list(days.items()), **parts})


def _of_day(day: str) -> Callable[[sqlite3.Connection], list[Spending]]:
    return lambda connection: reports.spending(connection, day)


async def _names(desk: Desk) -> dict[int, str]:
    """Everybody's name; people of the same name are told apart by their ids."""
    known = await desk.database.read(members.names)
    shared = {name for name, times in Counter(known.values()).items() if times > 1}
    return {user_id: f"{name} ({user_id})" if name in shared else name for user_id, name in known.items()}


def _dearest_first(groups: Iterable[tuple[str, Totals]]) -> list[tuple[str, Totals]]:
    placed = (group for group in groups if group[1].placed or group[1].held)
    return sorted(placed, key=lambda group: (-group[1].spent, -group[1].placed, group[0]))
