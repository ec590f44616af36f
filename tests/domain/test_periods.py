"""Periods: what people type for a day, a week, a month."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import UnknownName, WrongUsage
from bot.domain.periods import LONGEST, Period, is_period, parse_period, week_before

SATURDAY = date(2026, 3, 14)
DAYS = st.dates(date(2002, 1, 1), date(2197, 12, 31))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("today", "2026-03-14"),
        (" Yesterday ", "2026-03-13"),
        ("saturday", "2026-03-14"),
        ("SUN", "2026-03-08"),
        ("tuesday", "2026-03-10"),
        ("week", "2026-03-09..2026-03-14"),
        ("last  week", "2026-03-02..2026-03-08"),
        ("month", "2026-03-01..2026-03-14"),
        ("last month", "2026-02-01..2026-02-28"),
        ("2024-02", "2024-02-01..2024-02-29"),
        ("2026-12", "2026-12-01..2026-12-31"),
        ("2026-3-1..2026-03-14", "2026-03-01..2026-03-14"),
        ("2026-03-14 .. 2026-03-01", "2026-03-01..2026-03-14"),
        ("2026-01..2026-02", "2026-01-01..2026-02-28"),
        ("monday..today", "2026-03-09..2026-03-14"),
    ],
)
def test_people_name_periods_in_many_ways(typed: str, shown: str) -> None:
    period = parse_period(typed, SATURDAY)
    assert str(period) == shown
    assert is_period(typed, SATURDAY)
    assert parse_period(shown, SATURDAY) == period


@pytest.mark.parametrize("typed", ["2026-13", "2026-02-30", "2026-00-01", "2026-03-14..2026-02-30"])
def test_what_is_not_in_the_calendar_is_said_so(typed: str) -> None:
    for read in (parse_period, is_period):
        with pytest.raises(WrongUsage, match="not in the calendar"):
            read(typed, SATURDAY)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("yesterdy", "yesterday"),
        ("tusday", "tuesday"),
        ("lastmonth", "last month"),
        ("", "today"),
        ("t", "today"),
        ("mo", "today"),
    ],
)
def test_what_is_none_leads_to_the_nearest(typed: str, near: str) -> None:
    with pytest.raises(UnknownName) as refused:
        parse_period(typed, SATURDAY)
    assert near in refused.value.suggestions
    assert is_period(typed, SATURDAY) is False


@given(DAYS, st.integers(-500, 500))
def test_any_two_days_are_a_period_that_reads_back(one: date, apart: int) -> None:
    other = one + timedelta(days=apart)
    period = parse_period(f"{one}..{other}", SATURDAY)
    assert (period.first, period.last) == (min(one, other), max(one, other))
    assert len(period) == len(period.days) == abs((one - other).days) + 1
    assert (period.days[0], period.days[-1]) == (str(period.first), str(period.last))
    assert period.days == sorted(set(period.days))
    begins, ends = period.instants(ZoneInfo("Asia/Jakarta"))
    assert ends - begins == timedelta(days=len(period))


@given(st.text(max_size=60), DAYS)
def test_whatever_is_typed_is_a_period_or_a_clear_no(typed: str, today: date) -> None:
    try:
        period = parse_period(typed, today)
    except (UnknownName, WrongUsage):
        return
    assert period.first <= period.last


@given(DAYS)
def test_the_week_before_is_whole_and_over(today: date) -> None:
    week = week_before(today)
    assert (week.first.weekday(), week.last.weekday(), len(week)) == (0, 6, 7)
    assert timedelta(0) < today - week.last <= timedelta(days=7)


def test_a_day_lasts_from_midnight_to_midnight_where_the_clocks_change() -> None:
    begins, ends = Period(date(2026, 3, 29), date(2026, 3, 29)).instants(ZoneInfo("Europe/Berlin"))
    assert (ends.timestamp() - begins.timestamp()) / 3600 == 23


@pytest.mark.parametrize(
    ("period", "before"),
    [
        (Period(date(2026, 3, 14), date(2026, 3, 14)), "2026-03-13"),
        (Period(date(2026, 3, 1), date(2026, 3, 14)), "2026-02-01..2026-02-28"),
        (Period(date(2026, 3, 9), date(2026, 3, 12)), "2026-03-02..2026-03-08"),
        (Period(date(2026, 3, 9), date(2026, 3, 9)), "2026-03-08"),
        (Period(date(2026, 3, 9), date(2026, 3, 10)), "2026-03-02..2026-03-08"),
        (Period(date(2026, 3, 9), date(2026, 3, 15)), "2026-03-02..2026-03-08"),
        (Period(date(2026, 3, 9), date(2026, 3, 16)), "2026-02-23..2026-03-08"),
        (Period(date(2026, 3, 1), date(2026, 3, 2)), "2026-02-01..2026-02-28"),
        (Period(date(2026, 3, 1), date(2026, 3, 1)), "2026-02-28"),
        (Period(date(2026, 3, 3), date(2026, 3, 5)), "2026-02-28..2026-03-02"),
    ],
)
def test_what_comes_before_ends_the_day_before(period: Period, before: str) -> None:
    assert str(period.before()) == before


@given(first=st.dates(date(2001, 1, 1), date(2100, 1, 1)), days=st.integers(1, 400))
def test_no_day_is_between_a_period_and_the_one_before(first: date, days: int) -> None:
    period = Period(first, first + timedelta(days=days - 1))
    assert period.before().last + timedelta(days=1) == period.first
    assert len(period.before()) >= 1
    assert len(Period.ending(period.last, days)) == days


def test_the_longest_look_back_ends_with_this_day_a_year_ago() -> None:
    assert Period.ending(SATURDAY, LONGEST) == Period(date(2025, 3, 14), SATURDAY)
