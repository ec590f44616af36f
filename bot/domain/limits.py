"""Spend limits: their names, their windows, and how a cap is measured against what is spent."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum


class LimitName(StrEnum):
    """Every limit that exists; money is IDR, the rest are counts."""

    PER_ORDER = "per_order"
    DAILY = "daily"
    MONTHLY = "monthly"
    TEAM_DAILY = "team_daily"
    TEAM_MONTHLY = "team_monthly"
    ACTIVE_ORDERS = "active_orders"
    CANCELS_PER_DAY = "cancels_per_day"


TEAM_LIMITS = frozenset({LimitName.TEAM_DAILY, LimitName.TEAM_MONTHLY})
"""Limits that bind the team as one; every other limit binds each member."""

COUNTS = frozenset({LimitName.ACTIVE_ORDERS, LimitName.CANCELS_PER_DAY})
"""Limits that count things; every other limit is IDR."""

WARNING_LEVELS = (80, 100)
"""Percent of a money limit at which somebody is told, once a window."""


def warning_level(used: int, cap: int) -> int:
    """The highest of `WARNING_LEVELS` that `used` (IDR) has reached under `cap`, or 0; a cap of 0 warns of nothing."""
    return max((level for level in WARNING_LEVELS if cap > 0 and used * 100 >= cap * level), default=0)


def percent_used(used: int, cap: int) -> int:
    """How much of `cap` (IDR) is used, in whole percent rounded down; a cap of 0 leaves nothing, so it is all used."""
    return used * 100 // cap if cap > 0 else 100


@dataclass(frozen=True, slots=True)
class Window:
    """The day and the month that an order is booked in, as the team's calendar has them.

    An order keeps its window for life: what it settles, releases or refunds goes into the day and month it
    was reserved in, whatever the clock says by then.
    """

    day: str
    month: str


def window_at(moment: datetime, zone: tzinfo) -> Window:
    """The window that contains `moment` (an aware time) in the team's time zone."""
    local = moment.astimezone(zone)
    return Window(day=local.strftime("%Y-%m-%d"), month=local.strftime("%Y-%m"))


@dataclass(frozen=True, slots=True)
class Calendar:
    """The window of one moment, and the aware instants at which its day begins and its day and month are over."""

    window: Window
    day_begins: datetime
    day_ends: datetime
    month_ends: datetime

    def resets_at(self, name: LimitName) -> datetime | None:
        """When the budget behind a limit starts anew; None for a limit that no clock resets."""
        if name in (LimitName.DAILY, LimitName.TEAM_DAILY, LimitName.CANCELS_PER_DAY):
            return self.day_ends
        if name in (LimitName.MONTHLY, LimitName.TEAM_MONTHLY):
            return self.month_ends
        return None


def calendar_at(moment: datetime, zone: tzinfo) -> Calendar:
    """The team's calendar at `moment` (an aware time)."""
    today = moment.astimezone(zone).date()
    return Calendar(
        window=window_at(moment, zone),
        day_begins=_midnight(today, zone),
        day_ends=_midnight(today + timedelta(days=1), zone),
        month_ends=_midnight(following_month(today), zone),
    )


def following_month(day: date) -> date:
    """The first day of the month after the one that `day` is in."""
    first = day.replace(day=1)
    return first + timedelta(days=monthrange(first.year, first.month)[1])


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one budget holds (IDR): `held` for orders under way, `spent` for good."""

    held: int
    spent: int

    @property
    def used(self) -> int:
        """What counts against the cap: a hold counts at once."""
        return self.held + self.spent

    def left(self, cap: int) -> int:
        """How much of `cap` may still be used; never negative, even under a lowered cap."""
        return max(0, cap - self.used)
