"""What the schema itself refuses, whatever the code above it does."""

import sqlite3
from contextlib import closing

import pytest

from bot.domain.orders import Sms
from storage import audit, orders
from tests.storage import rows
from tests.storage.rows import ANA, NOW, TODAY, opened, reserved, sent, waiting

ORDER = "UPDATE orders SET {} WHERE id = 1"
ENTRY = "INSERT INTO entry (order_id, member_id, day, month, debit, credit, amount, reason, at) VALUES ({})"
OUTBOX = "INSERT INTO outbox (dedupe_key, chat_id, kind, urgency, facts, not_before, created_at, {}) VALUES ({})"

REFUSED = [
    ("INSERT INTO inbox (update_id, user_id, body, received_at, state) VALUES (1, 1, '', 1, 'lost')", "CHECK"),
    ("INSERT INTO members (user_id, name, role, added_by, added_at) VALUES (1, 'x', 'king', 1, 1)", "CHECK"),
    ("INSERT INTO members (user_id, name, role, added_by, added_at) VALUES (0, 'x', 'admin', 1, 1)", "CHECK"),
    ("INSERT INTO members (user_id, name, role, added_by, added_at) VALUES (-5, 'x', 'admin', 1, 1)", "CHECK"),
    ("INSERT INTO members (user_id, name, role, added_by, added_at) VALUES (11, 'x', 'admin', 1, 1)", "UNIQUE"),
    ("UPDATE members SET owner = 2", "CHECK"),
    ("UPDATE members SET active = 2", "CHECK"),
    ("DELETE FROM members WHERE user_id = 11", "FOREIGN KEY"),
    ("INSERT INTO limits (owner, name, amount) VALUES (1, 'daily', -1)", "CHECK"),
    (ORDER.format("state = 'lost'"), "CHECK"),
    (ORDER.format("price = -1"), "CHECK"),
    (ORDER.format("held = -1"), "CHECK"),
    (ORDER.format("charged = -1"), "CHECK"),
    (ORDER.format("refunded = -1"), "CHECK"),
    (ORDER.format("refunded = charged + 1"), "CHECK"),
    (ORDER.format("refund_assumed = 2"), "CHECK"),
    (ORDER.format("needs_admin = 2"), "CHECK"),
    (ORDER.format("member_id = 404"), "FOREIGN KEY"),
    (ORDER.format("command_key = (SELECT command_key FROM orders WHERE id = 2)"), "UNIQUE"),
    (ORDER.format("request_key = (SELECT request_key FROM orders WHERE id = 2)"), "UNIQUE"),
    (ORDER.format("remote_id = (SELECT remote_id FROM orders WHERE id = 2)"), "UNIQUE"),
    (ORDER.format("held = 0, state = 'waiting', remote_id = NULL"), "CHECK"),
    (ORDER.format("held = 0, state = 'received', remote_id = NULL"), "CHECK"),
    *(
        (ORDER.format(f"remote_id = 'x', state = '{state}'"), "CHECK")
        for state in ("refused", "waiting", "received", "completed", "canceled", "expired", "charged")
    ),
    ("UPDATE budget SET reserved = -1", "CHECK"),
    ("UPDATE budget SET settled = -1", "CHECK"),
    ("UPDATE budget SET cap = -1", "CHECK"),
    ("INSERT INTO budget (owner, period, cap) VALUES (0, '2026-03', 1)", "UNIQUE"),
    (ENTRY.format("1, 11, 'd', 'm', 'held', 'free', 0, 'x', 1"), "CHECK"),
    (ENTRY.format("1, 11, 'd', 'm', 'held', 'free', -5, 'x', 1"), "CHECK"),
    (ENTRY.format("1, 11, 'd', 'm', 'held', 'held', 5, 'x', 1"), "CHECK"),
    (ENTRY.format("1, 11, 'd', 'm', 'pocket', 'free', 5, 'x', 1"), "CHECK"),
    (ENTRY.format("1, 11, 'd', 'm', 'held', 'pocket', 5, 'x', 1"), "CHECK"),
    (ENTRY.format("404, 11, 'd', 'm', 'held', 'free', 5, 'x', 1"), "FOREIGN KEY"),
    ("UPDATE entry SET amount = amount", "entries are final"),
    ("DELETE FROM entry", "entries are final"),
    ("UPDATE audit SET detail = detail", "the audit is final"),
    ("DELETE FROM audit", "the audit is final"),
    ("INSERT INTO sms (order_id, revision, seen_at) VALUES (404, 1, 1)", "FOREIGN KEY"),
    ("INSERT INTO sms (order_id, revision, seen_at) VALUES (2, 1, 1)", "UNIQUE"),
    ("INSERT INTO sms (order_id, revision, seen_at) VALUES (2, 0, 1)", "CHECK"),
    ("INSERT INTO sms (order_id, revision, seen_at, purged) VALUES (2, 2, 1, 2)", "CHECK"),
    ("DELETE FROM orders WHERE id = 1", "FOREIGN KEY"),
    (OUTBOX.format("state", "'k', 1, 'text', 2, '{}', 1, 1, 'lost'"), "CHECK"),
    (OUTBOX.format("repeated", "'k', 1, 'text', 2, '{}', 1, 1, 2"), "CHECK"),
    (OUTBOX.format("order_id", "'k', 1, 'text', 2, '{}', 1, 1, 404"), "FOREIGN KEY"),
    (
        OUTBOX.format("state", "'k', 1, 'text', 2, '{}', 1, 1, 'sent'), ('k', 1, 'text', 2, '{}', 1, 1, 'sent'"),
        "UNIQUE",
    ),
    (
        "INSERT INTO buttons VALUES ('n', 'a', 0, '{}', 1, NULL), ('n', 'a', 0, '{}', 1, NULL)",
        "UNIQUE",
    ),
    ("INSERT INTO settings (name, value) VALUES ('a', ''), ('a', '')", "UNIQUE"),
]


def full() -> sqlite3.Connection:
    """One order on its way, one with an SMS, one line of the audit."""
    connection = opened()
    assert (sent(connection), waiting(connection)) == (1, 2)
    orders.add_sms(connection, 2, Sms(1, "123456"), NOW)
    audit.write(connection, NOW, ANA, "order.place", order_id=2)
    return connection


@pytest.mark.parametrize(("statement", "reason"), REFUSED, ids=[statement for statement, _ in REFUSED])
def test_a_violation_is_refused_and_changes_nothing(statement: str, reason: str) -> None:
    with closing(full()) as connection:
        before = list(connection.iterdump())
        with pytest.raises(sqlite3.IntegrityError, match=reason):
            connection.execute(statement)
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE orders SET price = ?", 10.5),
        ("UPDATE orders SET price = ?", "much"),
        ("UPDATE orders SET note = ?", None),
        ("UPDATE budget SET reserved = ?", "1k"),
        ("UPDATE sms SET seen_at = ?", None),
        ("UPDATE sms SET code = ?", b"\x00"),
    ],
)
def test_a_value_of_another_kind_is_refused(statement: str, value: object) -> None:
    with closing(full()) as connection, pytest.raises(sqlite3.IntegrityError, match=r"cannot store|NOT NULL"):
        connection.execute(statement, (value,))


def test_one_command_places_one_order(connection: sqlite3.Connection) -> None:
    orders.insert(connection, rows.request(key="update-1"), TODAY, rows.intent(), NOW)
    with pytest.raises(sqlite3.IntegrityError, match="command_key"):
        orders.insert(connection, rows.request(key="update-1"), TODAY, rows.intent(), NOW)


def test_one_remote_order_belongs_to_one_order(connection: sqlite3.Connection) -> None:
    for order_id in (reserved(connection), reserved(connection)):
        orders.mark_sent(connection, order_id, None, NOW)
    orders.mark_placed(connection, 1, rows.remote("ord_1"), NOW)
    with pytest.raises(sqlite3.IntegrityError, match="remote_id"):
        orders.mark_placed(connection, 2, rows.remote("ord_1"), NOW)


def test_order_numbers_are_never_used_twice(connection: sqlite3.Connection) -> None:
    first = reserved(connection)
    connection.execute("DELETE FROM orders")
    assert reserved(connection) == first + 1
