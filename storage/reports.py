"""What the reports read: orders by the day they are booked in, and the audit by who, which number, which order, when.

Each question is answered from an index, a page or a day at a time, so that a long report never holds up a code.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from storage.audit import Line

Row = Mapping[str, str | int | None]

_SPENDING: Final = (
    "SELECT member_id, platform, country, seconds, sum(placed) AS placed, sum(waiting) AS waiting,"
    " sum(spent) AS spent, sum(held) AS held FROM ("
    "SELECT member_id, platform, country, held, charged - refunded AS spent,"
    " placed_at IS NOT NULL OR state = 'charged' AS placed, state = 'waiting' AS waiting,"
    " (SELECT max(0, min(seen_at) - placed_at) / 1000 FROM sms WHERE sms.order_id = orders.id) AS seconds"
    " FROM orders WHERE day = ?) GROUP BY member_id, platform, country, seconds"
)
_EXPORT: Final = (
    "SELECT id, day, created_at, placed_at, ended_at, member_id, chat_id, platform, country, operator, product,"
    " phone_number, state, price, held, charged, refunded, refund_assumed, charged - refunded AS spent, note, error,"
    " (SELECT max(0, min(seen_at) - placed_at) / 1000 FROM sms WHERE sms.order_id = orders.id) AS seconds,"
    " (SELECT count(*) FROM sms WHERE sms.order_id = orders.id) AS messages,"
    " (SELECT name FROM members WHERE user_id = orders.member_id) AS member"
    " FROM orders WHERE day = ? AND id > ? ORDER BY id LIMIT ?"
)
_COLUMNS: Final = "id, at, actor_id, action, subject, order_id, detail"


@dataclass(frozen=True, slots=True)
class Spending:
    """Orders of one member, platform and country that took equally long to their code; money is IDR.

    `seconds` to the first SMS, None for orders without one; `placed` were paid at all, `waiting` of those still wait.
    """

    member_id: int
    platform: str
    country: str
    seconds: int | None
    placed: int
    waiting: int
    spent: int
    held: int


def spending(connection: sqlite3.Connection, day: str) -> list[Spending]:
    """What was ordered in a day (`2026-03-14`) and what it cost, as the orders have it by now."""
    return [Spending(**row) for row in map(dict, connection.execute(_SPENDING, (day,)))]


def count_orders(connection: sqlite3.Connection, first_day: str, last_day: str) -> int:
    """How many orders are booked in those days."""
    (number,) = connection.execute(
        "SELECT count(*) FROM orders WHERE day BETWEEN ? AND ?", (first_day, last_day)
    ).fetchone()
    return int(number)


def days_with_orders(connection: sqlite3.Connection) -> tuple[str, str] | None:
    """The first and the last day with an order, or None for no order at all."""
    first, last = (
        connection.execute(f"SELECT {which}(day) FROM orders").fetchone()[0]  # apart, each is one look into the index
        for which in ("min", "max")
    )
    return (first, last) if first is not None else None


def export_page(connection: sqlite3.Connection, day: str, after: int, limit: int) -> list[Row]:
    """The next orders of a day behind the order `after`, with all but what is secret: no code, no request, no key."""
    return [dict(row) for row in connection.execute(_EXPORT, (day, after, limit))]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the audit: whom it is about (0 for the desk itself), which orders, and from when to when.

    `begins` and `ends` are unix milliseconds, the end itself excluded. What is None narrows nothing.
    """

    person: int | None = None
    orders: tuple[int, ...] | None = None
    begins: int | None = None
    ends: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A line's place in the audit's order of time; a page begins behind it."""

    at: int
    id: int


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the audit, and what its order was about as far as that is known."""

    line: Line
    order: Row | None


def audit_page(connection: sqlite3.Connection, asked: Question, behind: Place | None, limit: int) -> list[Told]:
    """The newest lines that answer the question and lie behind that place, the newest first."""
    if asked.orders is not None:
        found = [
            line
            for order_id in asked.orders
            for line in _lines(connection, "order_id = ?", (order_id,), asked, behind, limit)
        ]
    elif asked.person is not None:
        by = _lines(connection, "actor_id = ?", (asked.person,), asked, behind, limit)
        about = _lines(connection, "subject = ?", (asked.person,), asked, behind, limit)
        found = list({line.id: line for line in [*by, *about]}.values())
    else:
        found = _lines(connection, "", (), asked, behind, limit)
    newest = sorted(found, key=lambda line: (line.at, line.id), reverse=True)[:limit]
    return [Told(line, _about(connection, line.order_id)) for line in newest]


def with_number(connection: sqlite3.Connection, numbers: Collection[str], limit: int) -> list[int]:
    """The newest orders that had one of these phone numbers, given as their digits with the country's code."""
    written = [form for digits in numbers for form in (digits, f"+{digits}")]
    places = ",".join("?" * len(written))
    rows = connection.execute(
        f"SELECT id FROM orders WHERE phone_number IN ({places}) ORDER BY id DESC LIMIT ?", (*written, limit)
    )
    return [row["id"] for row in rows]


def _lines(
    connection: sqlite3.Connection,
    whose: str,
    values: Sequence[int],
    asked: Question,
    behind: Place | None,
    limit: int,
) -> list[Line]:
    conditions, given = [whose] if whose else [], list(values)
    if asked.begins is not None:
        conditions.append("at >= ?")
        given.append(asked.begins)
    if asked.ends is not None:
        conditions.append("at < ?")
        given.append(asked.ends)
    if behind is not None:
        conditions.append("at <= ? AND (at < ? OR id < ?)")
        given += [behind.at, behind.at, behind.id]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit{where} ORDER BY at DESC, id DESC LIMIT ?", (*given, limit))
    return [Line(**{**row, "detail": json.loads(row["detail"])}) for row in map(dict, rows)]


def _about(connection: sqlite3.Connection, order_id: int | None) -> Row | None:
    if order_id is None:
        return None
    row = connection.execute(
        "SELECT id, member_id, platform, country, phone_number, note FROM orders WHERE id = ?", (order_id,)
    ).fetchone()
    return dict(row) if row else None
