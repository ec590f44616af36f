"""Lengths of time: read as people write them, refused where they could be read in two ways."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.domain.durations import LONGEST, format_duration, parse_duration
from bot.domain.errors import WrongUsage

UNITS = {
    60: ("m", "min", "minute", "minutes"),
    3600: ("h", "hour", "hours"),
    86_400: ("d", "day", "days"),
    604_800: ("w", "week", "weeks"),
}


@given(
    size=st.sampled_from(sorted(UNITS)), number=st.integers(0, 10**6), gap=st.sampled_from(["", " "]), data=st.data()
)
def test_every_unit_is_read_in_every_spelling(size: int, number: int, gap: str, data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(UNITS[size]))
    typed = f"{number}{gap}{data.draw(st.sampled_from([word, word.upper()]))}"
    if 0 < number * size <= LONGEST and number < 10**6:
        assert parse_duration(typed) == number * size
    else:
        with pytest.raises(WrongUsage):
            parse_duration(typed)


@given(seconds=st.integers(1, LONGEST // 60).map(lambda minutes: minutes * 60))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(typed=st.text(max_size=12))
@example("3")
@example("d")
@example("3s")
@example("３d")
@example("1e2d")
@example("-3d")
@example("3d 4h")
@example("3mins")
@example("")
def test_whatever_else_is_typed_is_refused_in_words(typed: str) -> None:
    with contextlib.suppress(WrongUsage):
        assert 0 < parse_duration(typed) <= LONGEST


@pytest.mark.parametrize(
    "typed", ["3", "d", "3s", "３d", "1e2d", "-3d", "3d 4h", "3dd", "", "0d", "367d", "3.5d", " 3d", "3 s", "3ss"]
)
def test_what_is_no_length_of_time(typed: str) -> None:
    with pytest.raises(WrongUsage):
        parse_duration(typed)


def test_a_refusal_repeats_what_was_typed_and_shows_how_it_is_written() -> None:
    with pytest.raises(WrongUsage, match="“3 fortnights” is no length of time; write 12h, 3d or 2w"):
        parse_duration("3 fortnights")


def test_the_longest_and_the_shortest() -> None:
    assert parse_duration("366d") == LONGEST
    assert parse_duration("1m") == 60
    assert [format_duration(seconds) for seconds in (60, 7200, 86_400, 1_209_600)] == [
        "1 minute",
        "2 hours",
        "1 day",
        "2 weeks",
    ]
