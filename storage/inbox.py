"""The inbox: every update of Telegram is here, on disk, before Telegram is told to forget it."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

NOBODY = 0
"""The user of an update that nobody in particular caused."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An update as it came. `message_id` and `callback_id` are what makes a command or a press act once."""

    update_id: int
    body: str = field(repr=False)
    user_id: int = NOBODY
    chat_id: int | None = None
    message_id: int | None = None
    callback_id: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """An update that waits to be dealt with."""

    update_id: int
    user_id: int
    body: str = field(repr=False)
    from_member: bool = True


def store(connection: sqlite3.Connection, arrivals: Iterable[Arrival], now: int) -> int:
    """Keep what is new and pass over what was seen before, by any of its three names; return how many are new."""
    before = connection.total_changes
    connection.executemany(
        "INSERT OR IGNORE INTO inbox (update_id, user_id, chat_id, message_id, callback_id, body, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(a.update_id, a.user_id, a.chat_id, a.message_id, a.callback_id, a.body, now) for a in arrivals],
    )
    return connection.total_changes - before


def heads(connection: sqlite3.Connection, busy: Iterable[int], limit: int) -> list[Pending]:
    """The oldest waiting update of each user who is not `busy`: those of members first, then by age."""
    excluded = sorted(set(busy))
    rows = connection.execute(
        "SELECT update_id, user_id, body, user_id IN (SELECT user_id FROM members WHERE active = 1) AS from_member"
        " FROM inbox WHERE update_id IN"
        " (SELECT MIN(update_id) FROM inbox WHERE state = 'pending'"
        f"  AND user_id NOT IN ({','.join('?' * len(excluded))}) GROUP BY user_id)"
        " ORDER BY from_member DESC, update_id LIMIT ?",
        (*excluded, limit),
    )
    return [Pending(row["update_id"], row["user_id"], row["body"], bool(row["from_member"])) for row in rows]


def finish(connection: sqlite3.Connection, update_id: int, now: int) -> None:
    """Mark an update as dealt with; its body is forgotten, its names stay to recognise a second delivery."""
    connection.execute(
        "UPDATE inbox SET state = 'done', body = '', finished_at = ? WHERE update_id = ?", (now, update_id)
    )


def quarantine(connection: sqlite3.Connection, update_id: int, error: str, now: int) -> None:
    """Put an update aside that cannot be understood; its body stays for whoever looks into it."""
    connection.execute(
        "UPDATE inbox SET state = 'poison', error = ?, finished_at = ? WHERE update_id = ?", (error, now, update_id)
    )


def forget(connection: sqlite3.Connection, finished_before: int) -> int:
    """Delete what was dealt with before that moment; return how many rows went."""
    return connection.execute("DELETE FROM inbox WHERE finished_at < ?", (finished_before,)).rowcount


def depth(connection: sqlite3.Connection) -> int:
    """How many updates wait."""
    (count,) = connection.execute("SELECT count(*) FROM inbox WHERE state = 'pending'").fetchone()
    return int(count)


def oldest(connection: sqlite3.Connection) -> int | None:
    """Since when (unix ms) the oldest update waits, or None if none does."""
    (since,) = connection.execute("SELECT min(received_at) FROM inbox WHERE state = 'pending'").fetchone()
    return since if since is None else int(since)
