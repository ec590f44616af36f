"""What the desk asks of its database again and again finds its rows by an index: a long past makes nothing slower."""

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from storage import audit, inbox, ledger, orders, outbox

GROWING = ("orders", "entry", "audit", "outbox", "inbox", "sms", "budget")
SCAN = re.compile(rf"^SCAN ({'|'.join(GROWING)})\b(?! USING)")
"""A walk over a whole table; one over a partial index sees only what is open."""

QUESTIONS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "orders under watch": orders.watched,
    "unclear orders": orders.unclear,
    "undecided orders": orders.undecided,
    "interrupted orders": orders.interrupted,
    "open refunds": orders.with_open_refund,
    "somebody's open orders": lambda connection: orders.open_of(connection, 7),
    "everybody's open orders": lambda connection: orders.open_of(connection, None),
    "somebody's newest orders": lambda connection: orders.newest_of(connection, 7, 10),
    "an order by its command": lambda connection: orders.by_command(connection, "k"),
    "an order by its card": lambda connection: orders.by_card(connection, 1, 2),
    "orders out of sight": lambda connection: orders.any_out_of_sight(connection, 1, 0),
    "orders of ours": lambda connection: orders.ours(connection, ["a", "b"]),
    "codes that have had their time": lambda connection: orders.purge_codes(connection, 9),
    "letters to take": lambda connection: outbox.claim(connection, [1], 9, 5),
    "whether a letter is due": lambda connection: outbox.is_due(connection, [1], 9),
    "when a letter is due": outbox.next_due,
    "letters under way": outbox.revive,
    "letters kept": outbox.depth,
    "letters to forget": lambda connection: outbox.forget(connection, 9),
    "updates to take": lambda connection: inbox.heads(connection, [1], 5),
    "updates that wait": inbox.depth,
    "updates to forget": lambda connection: inbox.forget(connection, 9),
    "what a day holds": lambda connection: ledger.usage(connection, 0, "2026-03-14"),
    "refunds since an order": lambda connection: ledger.refunded_after(connection, 1),
    "the entries of an order": lambda connection: ledger.entries_of(connection, 1),
    "the audit of an order": lambda connection: audit.latest(connection, 9, 1),
    "somebody's cancels": lambda connection: audit.count(connection, 7, "order.cancel", 0),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_walks_over_the_past(connection: sqlite3.Connection, question: str) -> None:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    QUESTIONS[question](connection)
    connection.set_trace_callback(None)
    assert asked
    assert [walk for statement in asked for walk in walks(connection, statement)] == []


def test_a_walk_would_be_noticed(connection: sqlite3.Connection) -> None:
    assert walks(connection, "SELECT 1 FROM orders WHERE note = 'x'") == ["SCAN orders"]


def walks(connection: sqlite3.Connection, statement: str) -> list[str]:
    """The steps of a statement that read a whole table that grows."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return [row["detail"] for row in plan if SCAN.match(row["detail"])]
