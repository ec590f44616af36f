"""Money is read strictly and written back as it was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.errors import WrongUsage
from bot.domain.money import MOST, parse_amount

AMOUNTS = st.integers(0, MOST)


@given(AMOUNTS, st.sampled_from([",", ".", "_", ""]))
def test_every_mark_of_thousands_means_the_same(amount: int, mark: str) -> None:
    assert parse_amount(f"{amount:,}".replace(",", mark)) == amount


@given(st.text())
def test_only_digits_and_marks_of_thousands_are_ever_taken(typed: str) -> None:
    try:
        amount = parse_amount(typed)
    except WrongUsage:
        return
    assert set(typed) <= set("0123456789.,_")
    assert amount == int(typed.replace(".", "").replace(",", "").replace("_", ""))


@given(st.from_regex(r"[0-9]{1,12}([.,_][0-9]{1,4}){0,5}", fullmatch=True))
def test_an_amount_that_is_taken_is_in_range_and_grouped_by_three(typed: str) -> None:
    try:
        amount = parse_amount(typed)
    except WrongUsage:
        return
    assert 0 <= amount <= MOST
    marks = {mark for mark in typed if mark in ".,_"}
    assert len(marks) <= 1
    first, *rest = typed.split(marks.pop()) if marks else [typed]
    assert all(len(group) == 3 for group in rest)
    assert len(first) <= 3 or not rest


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        " 5",
        "5 ",
        "5\n",
        "\n5",
        "+5",
        "-1",
        "−1",
        "1e9",
        "1E9",
        "0x10",
        "NaN",
        "inf",
        "Infinity",
        "\uff15",  # a full-width 5
        "٥٠٠",
        "५००",
        "²",
        "½",
        "1.0",
        "3.50",
        "3,5",
        "1.2345",
        "1234.567",
        "1.234,567",
        "1.234_567",
        ".500",
        "500.",
        "1..000",
        "1.000.",
        "1 000",
        "Rp 5",
        "Rp5",
        "5k",
        "5;",
        "5\x00",
        "9" * 40,
        "1.000.000.000.000",
        "12345678901",
        str(MOST + 1),
        "1.000.000.001",
        "9.999.999.999",
    ],
)
def test_anything_cleverer_than_whole_rupiah_is_refused(typed: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        parse_amount(typed)
    assert refused.value.problem


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("0", 0),
        ("007", 7),
        ("3500", 3500),
        ("3.500", 3500),
        ("3,500", 3500),
        ("3_500", 3500),
        ("1.000.000", 1_000_000),
        (str(MOST), MOST),
        ("1.000.000.000", MOST),
    ],
)
def test_whole_rupiah_are_read(typed: str, amount: int) -> None:
    assert parse_amount(typed) == amount


def test_the_refusal_of_too_much_names_both_amounts() -> None:
    with pytest.raises(WrongUsage) as refused:
        parse_amount(str(MOST + 1))
    assert str(MOST + 1) in refused.value.problem
    assert str(MOST) in refused.value.problem


@given(st.text(alphabet="x9é", min_size=25, max_size=4000))
def test_a_huge_text_never_appears_whole_in_the_refusal(typed: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        parse_amount(typed)
    assert typed not in refused.value.problem
    assert len(refused.value.problem) < 120


def test_a_short_text_appears_whole_in_the_refusal() -> None:
    with pytest.raises(WrongUsage, match="“3,50”"):
        parse_amount("3,50")
