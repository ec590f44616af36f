"""CSV that no spreadsheet carries out."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from bot.services.exports import as_csv, harmless

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


@given(st.lists(st.lists(st.text(), min_size=1), min_size=1))
def test_what_is_written_reads_back_and_begins_no_formula(table: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(as_csv(table), newline="")))
    for row, shown in zip(table, [row for row in read if row] or [[""]], strict=False):
        for cell, other in zip(row, shown, strict=False):
            assert other in (cell, f"'{cell}")
    cells = [cell for row in read for cell in row]
    assert not any(cell.startswith(DANGEROUS) for cell in cells)


@given(st.sampled_from(DANGEROUS), st.text())
def test_every_beginning_of_a_formula_gets_an_apostrophe(beginning: str, rest: str) -> None:
    assert harmless(beginning + rest) == f"'{beginning}{rest}"


def test_letters_of_full_width_count_and_numbers_stay_numbers() -> None:
    assert harmless("＝1+1") == "'＝1+1"
    assert harmless("＠x") == "'＠x"
    assert [harmless(value) for value in (-5, 0, None, "5", "'=", "a=b")] == ["-5", "0", "", "5", "'=", "a=b"]
