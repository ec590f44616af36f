"""Whether the books agree: counters, orders and entries tell the same money three times over.

A long past takes seconds to compare, so it is done in steps, each a read of its own between which the desk works on.
"""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from storage.members import TEAM

STEP: Final = 2000
"""Orders or entries that one step looks at: some twenty milliseconds."""

_BALANCE: Final = (
    "SUM(CASE WHEN debit = '{0}' THEN amount WHEN credit = '{0}' THEN -amount ELSE 0 END)"  # over any set of entries
)
_HELD: Final = _BALANCE.format("held")
_SPENT: Final = _BALANCE.format("spent")


@dataclass(slots=True)
class Comparison:
    """The whole books, compared step by step; `wrong` says in words where they disagree.

    Orders and their entries are compared piece by piece, each within one step. Entries are only ever added, so their
    sums go on from step to step, and the last one takes in what came meanwhile and holds them against the counters.
    """

    wrong: list[str] = field(default_factory=list)
    _order: int = 0
    _entry: int = 0
    _sums: dict[tuple[int, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def step(self, connection: sqlite3.Connection, size: int = STEP) -> bool:
        """Go on with the comparison; say whether that was the end of it."""
        (orders,) = connection.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()
        if self._order < orders:
            self._compare_orders(connection, min(self._order + size, orders))
            return False
        (entries,) = connection.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()
        self._add_entries(connection, min(self._entry + size, entries))
        if self._entry < entries:
            return False
        self._compare_budgets(connection)
        return True

    def _compare_orders(self, connection: sqlite3.Connection, last: int) -> None:
        rows = connection.execute(
            "SELECT o.id, o.state, o.held, o.charged - o.refunded AS cost,"
            " coalesce(e.held, 0) AS entered_held, coalesce(e.spent, 0) AS entered_spent FROM orders o"
            f" LEFT JOIN (SELECT order_id, {_HELD} AS held, {_SPENT} AS spent FROM entry"
            "  WHERE order_id > :after AND order_id <= :last GROUP BY order_id) e ON e.order_id = o.id"
            " WHERE o.id > :after AND o.id <= :last"
            " AND (o.held <> coalesce(e.held, 0) OR o.charged - o.refunded <> coalesce(e.spent, 0)"
            " OR (o.state IN ('reserved', 'sent', 'unknown') AND o.held <> o.price))",
            {"after": self._order, "last": last},
        ).fetchall()
        self.wrong.extend(
            f"order #{row['id']} ({row['state']}) says {row['held']} held and {row['cost']} spent,"
            f" entries say {row['entered_held']} and {row['entered_spent']}"
            for row in rows
        )
        self._order = last

    def _add_entries(self, connection: sqlite3.Connection, last: int) -> None:
        rows = connection.execute(
            f"SELECT member_id, day, month, {_HELD} AS held, {_SPENT} AS spent FROM entry"
            " WHERE id > ? AND id <= ? GROUP BY member_id, day, month",
            (self._entry, last),
        )
        for row in rows:
            for owner in (row["member_id"], TEAM):
                for period in (row["day"], row["month"]):
                    sums = self._sums[owner, period]
                    sums[0] += row["held"]
                    sums[1] += row["spent"]
        self._entry = last

    def _compare_budgets(self, connection: sqlite3.Connection) -> None:
        counted = {
            (row["owner"], row["period"]): [row["reserved"], row["settled"]]
            for row in connection.execute("SELECT owner, period, reserved, settled FROM budget")
        }
        for owner, period in sorted(counted.keys() | self._sums.keys()):
            counters, entries = counted.get((owner, period), [0, 0]), self._sums.get((owner, period), [0, 0])
            if counters != entries:
                self.wrong.append(
                    f"{_named(owner)}, {period}: counters say {counters[0]} held and {counters[1]} spent,"
                    f" entries say {entries[0]} and {entries[1]}"
                )


def _named(owner: int) -> str:
    return "the team" if owner == TEAM else f"member {owner}"
