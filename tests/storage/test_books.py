"""The books compared step by step, beside a desk that works on."""

import sqlite3

import pytest

from bot.domain.orders import OrderState
from storage import ledger
from storage.books import Comparison
from tests.storage import rows


def compared(connection: sqlite3.Connection, size: int, meanwhile: int = 0) -> list[str]:
    """What a comparison in steps of that size finds, if so many orders come meanwhile, one between two steps each."""
    comparison = Comparison()
    while not comparison.step(connection, size):
        if meanwhile:
            meanwhile -= 1
            order = rows.waiting(connection, member_id=rows.BEN)
            ledger.refund(connection, order - 3, OrderState.CANCELED, rows.NOW)
    return comparison.wrong


@pytest.fixture
def past(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Nine orders: paid, held, and one that came back."""
    for _ in range(8):
        rows.waiting(connection)
    rows.sent(connection)
    ledger.refund(connection, 2, OrderState.CANCELED, rows.NOW)
    return connection


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_in_steps_of_any_size_sound_books_agree_even_while_they_change(past: sqlite3.Connection, size: int) -> None:
    assert compared(past, size) == []
    assert compared(past, size, meanwhile=6) == []


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE orders SET charged = charged + 1 WHERE id = 3",
        "UPDATE orders SET held = 0 WHERE id = 9",
        "UPDATE budget SET settled = settled - 1 WHERE owner = 0",
        "INSERT INTO budget (owner, period, cap, settled) VALUES (11, '2020-01-01', 5, 5)",
        "DROP TRIGGER entry_stays; DELETE FROM entry WHERE id > 5",
    ],
)
def test_whatever_the_size_of_a_step_tampering_is_found(past: sqlite3.Connection, size: int, tampering: str) -> None:
    past.executescript(tampering)
    found = compared(past, size)
    assert found
    assert sorted(found) == sorted(compared(past, 1000))


def test_an_empty_desk_has_sound_books(connection: sqlite3.Connection) -> None:
    assert compared(connection, 1) == []
