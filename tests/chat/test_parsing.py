"""Reading what people type: whatever it is, it is understood as written or refused; nothing is guessed about money."""

import contextlib
import re
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chat import parsing
from bot.chat.parsing import LONGEST_NAME, LONGEST_NOTE, MOST_COUNTRIES, OrderArguments
from bot.domain.access import Role
from bot.domain.errors import UnknownName, WrongUsage
from bot.domain.limits import LimitName
from bot.domain.money import MOST

SEPARATORS = " ,=\t\n"
ANYTHING = st.text(max_size=200) | st.text(
    alphabet=" ,=#@/<>&maxnote0123456789.-_\u200b\u200e\u202e\u00a0\n", max_size=80
)

WORDS = st.text(
    alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters=SEPARATORS), min_size=1, max_size=12
)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
NOTES = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=LONGEST_NOTE).map(
    lambda note: " ".join(note.split())
)


@pytest.mark.parametrize(
    "parse",
    [
        parsing.clean,
        parsing.parse_order,
        parsing.parse_catalog,
        parsing.parse_order_number,
        parsing.parse_role,
        parsing.parse_limit_name,
        parsing.parse_user_id,
    ],
    ids=lambda parse: str(parse.__name__),
)
@given(typed=ANYTHING)
@example(typed="max=1 max=2")
@example(typed="note=" + "n" * 300)
@example(typed="x" * 5000)
@example(typed="a " + "b," * 400)
def test_anything_is_read_or_refused(parse: Callable[[str], object], typed: str) -> None:
    with contextlib.suppress(WrongUsage, UnknownName):
        parse(typed)


@given(typed=ANYTHING)
def test_cleaning_leaves_only_what_can_be_seen_and_is_done_once(typed: str) -> None:
    cleaned = parsing.clean(typed)
    assert parsing.clean(cleaned) == cleaned
    assert not [character for character in cleaned if unicodedata.category(character)[0] == "C"]
    assert not re.search(r"\s\s|^\s|\s$|[^\S ]", cleaned)


@given(
    platform=WORDS,
    countries=st.lists(NAMES, max_size=MOST_COUNTRIES),
    price=st.none() | st.integers(0, MOST),
    note=NOTES,
    comma=st.sampled_from([",", ", ", " ,  ", ",,"]),
)
def test_an_order_is_read_as_it_was_written(
    platform: str, countries: list[str], price: int | None, note: str, comma: str
) -> None:
    options = ("" if price is None else f" MAX={price}") + (f" note={note}" if note else "")
    read = parsing.parse_order(f"  {platform}\u200e  {comma.join(countries)}{options} ")
    assert read == OrderArguments(platform, tuple(countries), price, note)


@given(typed=ANYTHING)
def test_no_country_is_lost_and_none_is_invented(typed: str) -> None:
    try:
        read = parsing.parse_order(typed)
    except WrongUsage:
        return
    words = re.split(r"(?:^|\s)(?:max|note)=", parsing.clean(typed), maxsplit=1, flags=re.IGNORECASE)[0]
    platform, _, rest = words.strip().partition(" ")
    assert read.platform == platform
    assert [*read.countries] == [name for part in rest.split(",") if (name := part.strip())]
    assert len(read.countries) <= MOST_COUNTRIES
    assert all(0 < len(name) <= LONGEST_NAME for name in read.countries)
    assert len(read.platform) <= LONGEST_NAME
    assert read.platform or (read.countries, read.max_price, read.operator, read.policy) == ((), None, "", None)
    assert len(read.note) <= LONGEST_NOTE
    assert read.max_price is None or 0 <= read.max_price <= MOST


@given(note=NOTES.filter(bool))
def test_a_note_comes_through_whatever_is_in_it(note: str) -> None:
    assert parsing.parse_order(f"wa id note={note}").note == note
    assert parsing.parse_order(f"wa id max=5 note={note}").max_price == 5


@given(number=st.integers(0, 10**15 - 1))
def test_an_order_number_is_read_with_and_without_its_mark(number: int) -> None:
    assert parsing.parse_order_number(str(number)) == parsing.parse_order_number(f" #{number}\u200f") == number


def test_nothing_typed_names_no_order() -> None:
    assert parsing.parse_order_number(" \u200b ") is None


@pytest.mark.parametrize("typed", ["-1", "1.0", "1 2", "##1", "# 1", "１", "٣", "0x1", "1e1", "1" * 16, "all"])
def test_what_is_no_order_number_is_refused(typed: str) -> None:
    with pytest.raises(WrongUsage, match="is no order number"):
        parsing.parse_order_number(typed)


def test_roles_are_read_by_their_beginning_where_that_is_clear() -> None:
    assert {typed: parsing.parse_role(typed) for typed in ("v", "OPER", "approver", "ad")} == {
        "v": Role.VIEWER,
        "OPER": Role.OPERATOR,
        "approver": Role.APPROVER,
        "ad": Role.ADMIN,
    }
    for typed in ("", "a", "x", "owner", "boss", "админ"):
        with pytest.raises(WrongUsage, match="is no role"):
            parsing.parse_role(typed)
    for typed, meant in {"adminn": "admin", "opertor": "operator", "VEIWER": "viewer"}.items():
        with pytest.raises(UnknownName) as nearly:
            parsing.parse_role(typed)
        assert (nearly.value.kind, nearly.value.typed, nearly.value.suggestions[0]) == ("role", typed, meant)


@given(name=st.sampled_from(LimitName))
def test_limits_are_read_with_dashes_and_in_any_case(name: LimitName) -> None:
    assert parsing.parse_limit_name(name.upper().replace("_", "-")) is name


@pytest.mark.parametrize("typed", ["0", "-1", "+5", "1e3", "１２", "", "1" * 16, "12a", "@ada", " 5"])
def test_what_is_no_user_id_is_none(typed: str) -> None:
    assert parsing.parse_user_id(typed) is None
    assert parsing.parse_user_id("999999999999999") == 999_999_999_999_999
