"""The team's calendar in every time zone, and what a budget still allows."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.limits import (
    COUNTS,
    TEAM_LIMITS,
    Calendar,
    LimitName,
    Usage,
    Window,
    calendar_at,
    percent_used,
    warning_level,
    window_at,
)
from bot.domain.money import MOST

ZONES = st.sampled_from(sorted(available_timezones()))
# From here on no zone moves its clocks back across midnight by anything but whole hours that end at midnight; before,
# a few had days that were interrupted by a piece of the next one, which no pair of instants can delimit.
EARLIEST, LATEST = datetime(2012, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, int((LATEST - EARLIEST).total_seconds())).map(lambda past: EARLIEST + timedelta(seconds=past))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def instants(calendar: Calendar) -> tuple[datetime, datetime, datetime]:
    """In UTC: times of one zone compare by their wall clocks, which lie when clocks are set back."""
    begins, ends, month_ends = (
        moment.astimezone(UTC) for moment in (calendar.day_begins, calendar.day_ends, calendar.month_ends)
    )
    return begins, ends, month_ends


@settings(max_examples=500)
@given(MOMENTS, ZONES)
def test_a_moment_is_within_its_day_and_its_month(moment: datetime, name: str) -> None:
    begins, ends, month_ends = instants(calendar_at(moment, ZoneInfo(name)))
    assert begins <= moment < ends <= month_ends
    assert timedelta(hours=22) <= ends - begins <= timedelta(hours=26)


@settings(max_examples=500)
@given(MOMENTS, ZONES)
def test_the_window_changes_exactly_at_the_ends_of_day_and_month(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    calendar = calendar_at(moment, zone)
    begins, ends, month_ends = instants(calendar)
    instant = timedelta(microseconds=1)
    assert window_at(begins, zone) == window_at(ends - instant, zone) == calendar.window
    assert window_at(begins - instant, zone).day < calendar.window.day < window_at(ends, zone).day
    assert window_at(month_ends - instant, zone).month == calendar.window.month < window_at(month_ends, zone).month


@given(MOMENTS, ZONES)
def test_a_month_ends_on_the_first_of_the_next(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    local, ends = moment.astimezone(zone), calendar_at(moment, zone).month_ends
    assert ends.day == 1
    assert (ends.year * 12 + ends.month) - (local.year * 12 + local.month) == 1


@pytest.mark.parametrize(
    ("moment", "zone", "day", "month"),
    [
        ("2026-03-14T16:59:59", "Asia/Jakarta", "2026-03-14", "2026-03"),
        ("2026-03-14T17:00:00", "Asia/Jakarta", "2026-03-15", "2026-03"),
        ("2026-02-28T17:00:00", "Asia/Jakarta", "2026-03-01", "2026-03"),
        ("2028-02-28T17:00:00", "Asia/Jakarta", "2028-02-29", "2028-02"),
        ("2028-02-29T17:00:00", "Asia/Jakarta", "2028-03-01", "2028-03"),
        ("2026-01-01T04:59:59", "America/New_York", "2025-12-31", "2025-12"),
        ("2026-01-01T05:00:00", "America/New_York", "2026-01-01", "2026-01"),
        ("2026-07-01T03:59:59", "America/New_York", "2026-06-30", "2026-06"),
        ("2026-12-31T11:00:00", "Pacific/Apia", "2027-01-01", "2027-01"),
        ("2011-12-30T09:59:59", "Pacific/Apia", "2011-12-29", "2011-12"),
        ("2011-12-30T10:00:00", "Pacific/Apia", "2011-12-31", "2011-12"),
    ],
)
def test_the_window_is_the_team_s_own_day(moment: str, zone: str, day: str, month: str) -> None:
    assert window_at(utc(moment), ZoneInfo(zone)) == Window(day, month)


@pytest.mark.parametrize(
    ("moment", "zone", "begins", "ends", "month_ends"),
    [
        ("2026-03-08T12:00", "America/New_York", "2026-03-08T05:00", "2026-03-09T04:00", "2026-04-01T04:00"),
        ("2026-11-01T12:00", "America/New_York", "2026-11-01T04:00", "2026-11-02T05:00", "2026-12-01T05:00"),
        ("2026-12-31T18:00", "Asia/Jakarta", "2026-12-31T17:00", "2027-01-01T17:00", "2027-01-31T17:00"),
        ("2026-01-31T12:00", "UTC", "2026-01-31T00:00", "2026-02-01T00:00", "2026-02-01T00:00"),
        ("2028-02-29T12:00", "UTC", "2028-02-29T00:00", "2028-03-01T00:00", "2028-03-01T00:00"),
        ("2011-12-30T09:00", "Pacific/Apia", "2011-12-29T10:00", "2011-12-30T10:00", "2011-12-31T10:00"),
        # No midnight at all: Cairo's clocks go from 23:59:59 to 01:00.
        ("2026-04-24T12:00", "Africa/Cairo", "2026-04-23T22:00", "2026-04-24T21:00", "2026-04-30T21:00"),
        # Two midnights: Havana's clocks go from 00:59:59 back to 00:00.
        ("2026-11-01T05:30", "America/Havana", "2026-11-01T04:00", "2026-11-02T05:00", "2026-12-01T05:00"),
    ],
)
def test_the_calendar_at_the_odd_days(moment: str, zone: str, begins: str, ends: str, month_ends: str) -> None:
    calendar = calendar_at(utc(moment), ZoneInfo(zone))
    assert instants(calendar) == (utc(begins), utc(ends), utc(month_ends))


def test_each_limit_starts_anew_when_its_window_ends() -> None:
    calendar = calendar_at(utc("2026-03-14T12:00"), ZoneInfo("Asia/Jakarta"))
    assert {name: calendar.resets_at(name) for name in LimitName} == {
        LimitName.PER_ORDER: None,
        LimitName.ACTIVE_ORDERS: None,
        LimitName.DAILY: calendar.day_ends,
        LimitName.TEAM_DAILY: calendar.day_ends,
        LimitName.CANCELS_PER_DAY: calendar.day_ends,
        LimitName.MONTHLY: calendar.month_ends,
        LimitName.TEAM_MONTHLY: calendar.month_ends,
    }


def test_the_kinds_of_limits() -> None:
    assert {name for name in LimitName if name.startswith("team_")} == TEAM_LIMITS
    assert {LimitName.ACTIVE_ORDERS, LimitName.CANCELS_PER_DAY} == COUNTS


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_left_is_never_negative_and_never_more_than_the_cap(held: int, spent: int, cap: int) -> None:
    usage = Usage(held, spent)
    assert usage.used == held + spent
    assert 0 <= usage.left(cap) <= cap
    assert usage.left(cap) + usage.used == max(cap, usage.used)


AMOUNTS = st.integers(0, MOST)


@given(used=AMOUNTS, cap=AMOUNTS)
@example(used=0, cap=0)
@example(used=1, cap=1)
def test_a_warning_comes_at_its_percent_and_not_before(used: int, cap: int) -> None:
    level = warning_level(used, cap)
    if cap == 0:
        assert level == 0
    elif used >= cap:
        assert level == 100
    else:
        assert level == (80 if percent_used(used, cap) >= 80 else 0)


@given(cap=st.integers(1, MOST))
def test_the_first_rupiah_that_reaches_a_level_is_the_one_that_warns(cap: int) -> None:
    first = -(-cap * 80 // 100)
    assert (warning_level(first - 1, cap), warning_level(cap - 1, cap), warning_level(cap, cap)) == (
        0,
        80 if cap - 1 >= first else 0,
        100,
    )
    assert warning_level(first, cap) >= 80


@pytest.mark.parametrize(
    ("used", "cap", "percent"),
    [
        (9, 1000, 0),
        (10, 1000, 1),
        (999, 1000, 99),
        (1000, 1000, 100),
        (1500, 1000, 150),
        (0, 0, 100),
        (0, 1, 0),
        (1, 1, 100),
    ],
)
def test_percent_are_whole_and_rounded_down(used: int, cap: int, percent: int) -> None:
    assert percent_used(used, cap) == percent


@given(used=AMOUNTS, more=AMOUNTS, cap=AMOUNTS)
def test_percent_grows_with_use_and_is_a_hundred_only_when_nothing_is_left(used: int, more: int, cap: int) -> None:
    assert percent_used(used, cap) <= percent_used(used + more, cap)
    assert (percent_used(used, cap) >= 100) == (Usage(0, used).left(cap) == 0)
