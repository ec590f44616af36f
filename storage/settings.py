"""Small facts that outlive a restart, by name."""

import sqlite3
from typing import Final

PAUSED: Final = "paused"
"""Why new orders are stopped; absent while they are not."""

GUARDED: Final = "guarded"
"""Until when (unix seconds) SMSCode's abuse guard takes no new order."""

ACCOUNT: Final = "account"
"""The account's balance at a moment when the books were at rest (JSON), as evidence about refunds."""


def get(connection: sqlite3.Connection, name: str) -> str | None:
    """The value by that name, or None."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return str(row["value"]) if row else None


def put(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Keep `value` by that name."""
    connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))


def drop(connection: sqlite3.Connection, name: str) -> bool:
    """Forget the value by that name; say whether there was one."""
    return connection.execute("DELETE FROM settings WHERE name = ?", (name,)).rowcount > 0
