"""Stock watches: what members wait for to be in stock or cheap enough, until it is told or they expire."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

_COLUMNS = "id, member_id, chat_id, thread_id, platform, country, below, expires_at"


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch, told to the chat it was asked for in. `below` is the dearest offer worth telling (IDR), None: any."""

    id: int
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    country: str
    below: int | None
    expires_at: int


def put(connection: sqlite3.Connection, watch: Watch, now: int) -> int:
    """Keep a watch, in the place of its member's earlier one for the same; return its number."""
    connection.execute(
        "DELETE FROM stock_watches WHERE member_id = ? AND platform = ? AND country = ?",
        (watch.member_id, watch.platform, watch.country),
    )
    inserted = connection.execute(
        "INSERT INTO stock_watches (member_id, chat_id, thread_id, platform, country, below, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            watch.member_id,
            watch.chat_id,
            watch.thread_id,
            watch.platform,
            watch.country,
            watch.below,
            now,
            watch.expires_at,
        ),
    )
    return int(inserted.lastrowid or 0)


def get(connection: sqlite3.Connection, watch_id: int) -> Watch | None:
    """The watch by its number, told or not."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM stock_watches WHERE id = ?", (watch_id,)).fetchone()
    return Watch(**row) if row else None


def of_member(connection: sqlite3.Connection, member_id: int, now: int) -> list[Watch]:
    """What a member waits for, the oldest first."""
    return _many(connection, "member_id = ? AND told_at IS NULL AND expires_at > ?", (member_id, now))


def waiting(connection: sqlite3.Connection, now: int) -> list[Watch]:
    """What active members wait for, the oldest first; whoever was taken off the list waits for nothing."""
    active = "member_id IN (SELECT user_id FROM members WHERE active = 1)"
    return _many(connection, f"told_at IS NULL AND expires_at > ? AND {active}", (now,))


def mark_told(connection: sqlite3.Connection, watch_id: int, now: int, until: int) -> bool:
    """It is told; it stays only until then, for its button. Say whether it was not told before."""
    marked = connection.execute(
        "UPDATE stock_watches SET told_at = ?, expires_at = ? WHERE id = ? AND told_at IS NULL", (now, until, watch_id)
    )
    return marked.rowcount == 1


def remove(connection: sqlite3.Connection, member_id: int, watch_id: int) -> bool:
    """Forget one of a member's own watches; say whether there was one."""
    removed = connection.execute("DELETE FROM stock_watches WHERE id = ? AND member_id = ?", (watch_id, member_id))
    return removed.rowcount == 1


def forget(connection: sqlite3.Connection, expired_before: int) -> int:
    """Delete watches that expired before that moment; return how many."""
    return connection.execute("DELETE FROM stock_watches WHERE expires_at < ?", (expired_before,)).rowcount


def _many(connection: sqlite3.Connection, condition: str, values: Sequence[int]) -> list[Watch]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM stock_watches WHERE {condition} ORDER BY id", values)
    return [Watch(**row) for row in rows]
