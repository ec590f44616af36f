"""Periods of whole days, as people name them: `today`, `tuesday`, `week`, `2026-03`, `2026-03-01..2026-03-14`."""

import difflib
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from bot.domain.errors import UnknownName, WrongUsage
from bot.domain.limits import following_month

LONGEST: Final = 366
"""Days in the longest period that the chat looks at; the shell exports any."""

EVERYDAY: Final = ("today", "yesterday", "week", "month")
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMES: Final = (*EVERYDAY, "last week", "last month", *_WEEKDAYS)
_DAY: Final = re.compile(r"(2[01][0-9]{2})-([0-9]{1,2})-([0-9]{1,2})", re.ASCII)
_MONTH: Final = re.compile(r"(2[01][0-9]{2})-([0-9]{1,2})", re.ASCII)
_SHORTEST: Final = 3


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `first` to `last`, both included."""

    first: date
    last: date

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"

    @classmethod
    def ending(cls, last: date, days: int) -> "Period":
        """So many days, of which that is the last one."""
        return cls(last - timedelta(days=days - 1), last)

    def before(self) -> "Period":
        """What comes before it: the whole month before a month, whole weeks before a week, else as many days."""
        if self.first.day == 1 and len(self) > 1:
            return _month_before(self.first)
        last = self.first - timedelta(days=1)
        weeks = -(-len(self) // 7)
        return Period.ending(last, weeks * 7 if self.first.weekday() == 0 and len(self) > 1 else len(self))

    @property
    def days(self) -> list[str]:
        """Each day as the books write it, the first one first."""
        return [str(self.first + timedelta(days=number)) for number in range(len(self))]

    def instants(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The aware moments at which it begins and at which it is over."""
        after = self.last + timedelta(days=1)
        begins = datetime(self.first.year, self.first.month, self.first.day, tzinfo=zone)
        return begins, datetime(after.year, after.month, after.day, tzinfo=zone)


def parse_period(typed: str, today: date) -> Period:
    """Read a period; two days or months in the wrong order are turned round.

    Raises:
        UnknownName: it is none, with the nearest ones. WrongUsage: it is no day of the calendar.
    """
    text = " ".join(typed.casefold().split())
    begin, dots, end = text.partition("..")
    if not dots:
        return _single(text, typed, today)
    one, other = _single(begin.strip(), typed, today), _single(end.strip(), typed, today)
    return Period(min(one.first, other.first), max(one.last, other.last))


def is_period(typed: str, today: date) -> bool:
    """Whether that can be read as a period.

    Raises:
        WrongUsage: it is written like one, but is no day of the calendar.
    """
    try:
        parse_period(typed, today)
    except UnknownName:
        return False
    return True


def week_before(today: date) -> Period:
    """The last whole week, from Monday to Sunday."""
    monday = today - timedelta(days=today.weekday())
    return Period(monday - timedelta(days=7), monday - timedelta(days=1))


def _single(text: str, typed: str, today: date) -> Period:
    dated = _dated(text)
    if dated is not None:
        return dated
    named = _named(text, today)
    if named is not None:
        return named
    near = difflib.get_close_matches(text, _NAMES)
    raise UnknownName("day or period", typed, tuple(near) or EVERYDAY)


def _named(text: str, today: date) -> Period | None:
    monday = today - timedelta(days=today.weekday())
    first = today.replace(day=1)
    periods = {
        "today": Period(today, today),
        "yesterday": Period(today - timedelta(days=1), today - timedelta(days=1)),
        "week": Period(monday, today),
        "month": Period(first, today),
        "last week": week_before(today),
        "last month": _month_before(first),
    }
    return periods.get(text) or _weekday(text, today)


def _weekday(text: str, today: date) -> Period | None:
    """The latest day of that name, today included."""
    found = [place for place, name in enumerate(_WEEKDAYS) if name.startswith(text)]
    if len(text) < _SHORTEST or not found:
        return None
    day = today - timedelta(days=(today.weekday() - found[0]) % 7)
    return Period(day, day)


def _dated(text: str) -> Period | None:
    match = _DAY.fullmatch(text) or _MONTH.fullmatch(text)
    if match is None:
        return None
    year, month, *day = map(int, match.groups())
    try:
        found = date(year, month, day[0] if day else 1)
    except ValueError:
        raise WrongUsage(f"“{text}” is not in the calendar; write a day such as 2026-03-14") from None
    return Period(found, found) if day else _month(found)


def _month_before(first: date) -> Period:
    last = first - timedelta(days=1)
    return Period(last.replace(day=1), last)


def _month(first: date) -> Period:
    return Period(first, following_month(first) - timedelta(days=1))
