"""Amounts, numbers, countries and times read as people write them, and amounts are read back as they were written."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.wording import country_title, day_and_time, format_amount, readable_number
from bot.domain.money import MOST, parse_amount

JAKARTA = ZoneInfo("Asia/Jakarta")
NOW = datetime(2026, 3, 14, 5, 0, tzinfo=UTC)


@given(st.integers(0, MOST))
def test_what_is_written_is_read_as_the_same_amount(amount: int) -> None:
    assert parse_amount(format_amount(amount).removeprefix("Rp ")) == amount


@pytest.mark.parametrize(
    ("amount", "written"),
    [(0, "Rp 0"), (999, "Rp 999"), (3500, "Rp 3.500"), (-3500, "−Rp 3.500"), (MOST, "Rp 1.000.000.000")],
)
def test_amounts_are_written_for_people(amount: int, written: str) -> None:
    assert format_amount(amount) == written


@pytest.mark.parametrize(
    ("raw", "written"),
    [
        ("+6281234567890", "+62 812-3456-7890"),
        ("+447400123456", "+44 7400 123456"),
        ("+14155550123", "+1 415-555-0123"),
        ("081234567890", None),
        ("<b>+62</b>", None),
        ("", None),
    ],
)
def test_numbers_are_grouped_as_their_country_does(raw: str, written: str | None) -> None:
    assert readable_number(raw) == written


@given(st.text(max_size=300))
def test_whatever_is_no_number_is_left_alone(raw: str) -> None:
    written = readable_number(raw)
    assert written is None or any(character.isdigit() for character in raw)


@pytest.mark.parametrize(
    ("slug", "title"),
    [
        ("indonesia", "🇮🇩 Indonesia"),
        ("united-kingdom", "🇬🇧 United Kingdom"),
        ("Vietnam", "🇻🇳 Vietnam"),
        ("atlantis", "atlantis"),
        ("", ""),
    ],
)
def test_countries_carry_their_flag(slug: str, title: str) -> None:
    assert country_title(slug) == title


@pytest.mark.parametrize(
    ("hours_ago", "written"), [(0, "12:00"), (11, "01:00"), (13, "yesterday 23:00"), (24 * 5, "9 Mar 12:00")]
)
def test_moments_are_those_of_the_teams_day(hours_ago: int, written: str) -> None:
    moment = int((NOW.timestamp() - hours_ago * 3600) * 1000)
    assert day_and_time(moment, JAKARTA, NOW) == written
