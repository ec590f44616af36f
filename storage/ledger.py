"""The ledger: what is held and what is spent, as counters that refuse and as entries that remember.

    free ──hold──► held ──settle──► spent
      ▲             │                 │
      └──release────┴─────refund──────┘

Each movement changes four counters (the member's and the team's day and month) and adds append-only entries, in the
caller's transaction. `discrepancies` proves that both agree. An entry takes from its `credit` account and gives to
its `debit` account.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.domain.errors import LimitReached
from bot.domain.limits import Calendar, LimitName, Usage, warning_level
from bot.domain.orders import UNDER_WAY
from storage.books import Comparison
from storage.members import TEAM
from storage.orders import OPEN


@dataclass(frozen=True, slots=True)
class _Account:
    """The money of one order and where it is booked."""

    order_id: int
    member_id: int
    day: str
    month: str
    held: int
    charged: int
    refunded: int

    @property
    def budgets(self) -> tuple[tuple[LimitName, int, str], ...]:
        """Each budget that the order is booked in: the limit behind it, its owner and its period."""
        return (
            (LimitName.DAILY, self.member_id, self.day),
            (LimitName.MONTHLY, self.member_id, self.month),
            (LimitName.TEAM_DAILY, TEAM, self.day),
            (LimitName.TEAM_MONTHLY, TEAM, self.month),
        )


def hold(
    connection: sqlite3.Connection,
    order_id: int,
    amount: int,
    caps: Mapping[LimitName, int],
    calendar: Calendar,
    now: int,
) -> None:
    """Hold `amount` IDR for an order that holds nothing yet, in the order's own window, if every limit allows it.

    Raises:
        LimitReached: the first limit that does not; the caller's transaction must not be committed.
        ValueError: the order holds something already.
    """
    account = _account(connection, order_id)
    if account.held:
        raise ValueError(f"order {order_id} already holds {account.held}")
    _check_order(connection, account, amount, caps)
    for name, owner, period in account.budgets:
        _reserve(connection, owner, period, amount, name, caps[name], calendar)
    connection.execute("UPDATE orders SET held = ? WHERE id = ?", (amount, order_id))
    _enter(connection, account, "free", "held", amount, "hold", now)


def settle(connection: sqlite3.Connection, order_id: int, charged: int, now: int) -> None:
    """Turn an order's hold into what it really cost; an overcharge is recorded, never refused."""
    account = _account(connection, order_id)
    _move(connection, account, reserved=-account.held, settled=charged)
    connection.execute("UPDATE orders SET held = 0, charged = charged + ? WHERE id = ?", (charged, order_id))
    _enter(connection, account, "held", "spent", min(account.held, charged), "settle", now)
    _enter(connection, account, "held", "free", account.held - charged, "settled below the hold", now)
    _enter(connection, account, "free", "spent", charged - account.held, "overcharge", now)


def overcharge(connection: sqlite3.Connection, order_id: int, extra: int, now: int) -> None:
    """Book what an order turned out to cost beyond what it was settled at; it is recorded, never refused."""
    account = _account(connection, order_id)
    _move(connection, account, settled=extra)
    connection.execute("UPDATE orders SET charged = charged + ? WHERE id = ?", (extra, order_id))
    _enter(connection, account, "free", "spent", extra, "overcharge", now)


def release(connection: sqlite3.Connection, order_id: int, reason: str, now: int) -> int:
    """Give an order's whole hold back to what is free; return how much (IDR) that was."""
    account = _account(connection, order_id)
    _move(connection, account, reserved=-account.held)
    connection.execute("UPDATE orders SET held = 0 WHERE id = ?", (order_id,))
    _enter(connection, account, "held", "free", account.held, reason, now)
    return account.held


def refund(
    connection: sqlite3.Connection,
    order_id: int,
    reason: str,
    now: int,
    *,
    most: int | None = None,
    assumed: bool = False,
) -> int:
    """Book back what an order cost, or `most` of it; return the amount (IDR).

    `assumed` says that SMSCode did not tell so. Never more comes back than is still spent.
    """
    account = _account(connection, order_id)
    spent = account.charged - account.refunded
    amount = spent if most is None else max(0, min(spent, most))
    _move(connection, account, settled=-amount)
    connection.execute(
        "UPDATE orders SET refunded = refunded + ?, refund_assumed = ? WHERE id = ?", (amount, int(assumed), order_id)
    )
    _enter(connection, account, "spent", "free", amount, reason, now)
    return amount


def usage(connection: sqlite3.Connection, owner: int, period: str) -> Usage:
    """What a member's, or the team's, day (`2026-03-14`) or month (`2026-03`) holds."""
    row = connection.execute(
        "SELECT reserved, settled FROM budget WHERE owner = ? AND period = ?", (owner, period)
    ).fetchone()
    return Usage(held=row["reserved"], spent=row["settled"]) if row else Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A money limit that has newly reached a warning level (percent): whose it is, and how far it is used (IDR)."""

    name: LimitName
    owner: int
    period: str
    level: int
    used: int
    cap: int


def crossings(connection: sqlite3.Connection, order_id: int) -> list[Crossing]:
    """The limits of an order's day and month that have reached a level which was not told in that window yet.

    Each is marked as told: call it in the transaction that moved the money and that keeps the news.
    """
    account = _account(connection, order_id)
    found: list[Crossing] = []
    for name, owner, period in account.budgets:
        row = connection.execute(
            "SELECT reserved + settled AS used, cap, warned FROM budget WHERE owner = ? AND period = ?",
            (owner, period),
        ).fetchone()
        level = warning_level(row["used"], row["cap"])
        if level > row["warned"]:
            connection.execute("UPDATE budget SET warned = ? WHERE owner = ? AND period = ?", (level, owner, period))
            found.append(Crossing(name, owner, period, level, row["used"], row["cap"]))
    return found


def booked(connection: sqlite3.Connection) -> tuple[int, int]:
    """The newest entry's number, and all that was ever spent and did not come back (IDR)."""
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()
    (spent,) = connection.execute(
        "SELECT coalesce(sum(settled), 0) FROM budget WHERE owner = ? AND length(period) = 7", (TEAM,)
    ).fetchone()
    return newest, spent


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of an order's money (IDR), from `credit` to `debit`; `at` is unix milliseconds."""

    credit: str
    debit: str
    amount: int
    reason: str
    at: int


def entries_of(connection: sqlite3.Connection, order_id: int) -> list[Entry]:
    """Every movement of one order's money, the first one first."""
    rows = connection.execute(
        "SELECT credit, debit, amount, reason, at FROM entry WHERE order_id = ? ORDER BY id", (order_id,)
    )
    return [Entry(**row) for row in rows]


def refunded_after(connection: sqlite3.Connection, order_id: int) -> bool:
    """Whether anything was booked back since that order's hold, and so may have raised SMSCode's balance.

    By the order of the entries, not by their dates: a clock may be set back.
    """
    row = connection.execute(
        "SELECT 1 FROM entry WHERE credit = 'spent' AND debit = 'free'"
        " AND id > (SELECT max(id) FROM entry WHERE order_id = ?) LIMIT 1",
        (order_id,),
    ).fetchone()
    return row is not None


_RECENT: Final = 2_000
"""Entries among which a refund of the last minutes is looked for: more than any minutes make."""


def refunded_since(connection: sqlite3.Connection, moment: int) -> bool:
    """Whether anything was booked back at that moment (unix milliseconds) or later; the balance may show it late."""
    row = connection.execute(
        "SELECT 1 FROM (SELECT * FROM entry ORDER BY id DESC LIMIT ?)"
        " WHERE credit = 'spent' AND debit = 'free' AND at >= ? LIMIT 1",
        (_RECENT, moment),
    ).fetchone()
    return row is not None


def discrepancies(connection: sqlite3.Connection) -> list[str]:
    """Every place where counters, orders and entries disagree, in words; empty when the books are right."""
    comparison = Comparison()
    while not comparison.step(connection):
        pass
    return comparison.wrong


def _check_order(connection: sqlite3.Connection, account: _Account, amount: int, caps: Mapping[LimitName, int]) -> None:
    per_order = caps[LimitName.PER_ORDER]
    if amount > per_order:
        raise LimitReached(LimitName.PER_ORDER, per_order, per_order, amount)
    (others,) = connection.execute(
        f"SELECT count(*) FROM orders WHERE {OPEN} AND member_id = ? AND id <> ? AND state IN ({_quoted(UNDER_WAY)})",
        (account.member_id, account.order_id),
    ).fetchone()
    most = caps[LimitName.ACTIVE_ORDERS]
    if others >= most:
        raise LimitReached(LimitName.ACTIVE_ORDERS, most, 0, 1)


def _reserve(
    connection: sqlite3.Connection,
    owner: int,
    period: str,
    amount: int,
    name: LimitName,
    cap: int,
    calendar: Calendar,
) -> None:
    """Raise one counter if its cap allows it: the check and the change are one statement."""
    connection.execute(
        "INSERT INTO budget (owner, period, cap) VALUES (?, ?, ?)"
        " ON CONFLICT (owner, period) DO UPDATE SET cap = excluded.cap,"
        " warned = CASE WHEN excluded.cap > cap THEN 0 ELSE warned END",
        (owner, period, cap),
    )
    raised = connection.execute(
        "UPDATE budget SET reserved = reserved + ? WHERE owner = ? AND period = ? AND reserved + settled + ? <= cap",
        (amount, owner, period, amount),
    )
    if raised.rowcount != 1:
        left = usage(connection, owner, period).left(cap)
        raise LimitReached(name, cap, left, amount, calendar.resets_at(name))


def _move(connection: sqlite3.Connection, account: _Account, *, reserved: int = 0, settled: int = 0) -> None:
    connection.executemany(
        "UPDATE budget SET reserved = reserved + ?, settled = settled + ? WHERE owner = ? AND period = ?",
        [(reserved, settled, owner, period) for _, owner, period in account.budgets],
    )


def _enter(
    connection: sqlite3.Connection, account: _Account, credit: str, debit: str, amount: int, reason: str, now: int
) -> None:
    if amount <= 0:
        return
    connection.execute(
        "INSERT INTO entry (order_id, member_id, day, month, debit, credit, amount, reason, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (account.order_id, account.member_id, account.day, account.month, debit, credit, amount, reason, now),
    )


def _account(connection: sqlite3.Connection, order_id: int) -> _Account:
    row = connection.execute(
        "SELECT id AS order_id, member_id, day, month, held, charged, refunded FROM orders WHERE id = ?", (order_id,)
    ).fetchone()
    return _Account(**row)


def _quoted(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)
