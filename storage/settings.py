"""Small facts that outlive a restart, by name."""

import sqlite3
from typing import Final

from storage.migrate import ForeignDatabase

PAUSED: Final = "paused"
"""Why new orders are stopped; absent while they are not."""

GUARDED: Final = "guarded"
"""Until when (unix seconds) SMSCode's abuse guard takes no new order."""

ACCOUNT: Final = "account"
"""The account's balance at a moment when the books were at rest (JSON), as evidence about refunds."""

IDENTITY: Final = "identity"
"""The desk that these books belong to: its bot's id."""

BACKED_UP: Final = "backed_up"
"""When (unix milliseconds) these books were copied; only a backup says so."""

FINGERPRINT: Final = "fingerprint"
"""What all rows of a backup but this one come to, so that a changed one is noticed."""

RESTORED: Final = "restored"
"""When (unix milliseconds) these books came from a backup: of older orders more may have been told than they know."""

RESTORE_NEWS: Final = "restore_news"
"""What the admins are to hear of it (JSON); absent once they know."""


DIGEST: Final = "digest"
"""The latest week (its first and last day) that the admins were told of."""


def check_identity(connection: sqlite3.Connection, identity: str) -> None:
    """Let the books of this desk pass, and those of no desk yet; an empty `identity` asks nothing.

    Raises:
        ForeignDatabase: they are another desk's.
    """
    kept = get(connection, IDENTITY)
    if identity and kept is not None and kept != identity:
        raise ForeignDatabase(
            f"this file holds the books of another desk (bot {kept}, this one is {identity}); "
            "use that bot's token, or name another file in storage.path"
        )


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
