"""The outbox: messages that must arrive at least once, in the order of their urgency."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.domain.notices import Notice, NoticeKind, Urgency


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice on its way. `repeated` says that it may have arrived before."""

    id: int
    notice: Notice
    repeated: bool
    attempts: int
    created_at: int


@dataclass(frozen=True, slots=True)
class InChat:
    """A code that stands in a chat: the letter that brought it, and the message it became."""

    letter_id: int
    chat_id: int
    message_id: int
    order_id: int
    revision: int


_COLUMNS = (
    "id, dedupe_key, chat_id, thread_id, kind, urgency, order_id, revision, facts, repeated, attempts, created_at,"
    " command"
)


def put(connection: sqlite3.Connection, notice: Notice, now: int, *, repeated: bool = False) -> bool:
    """Keep a notice for the courier; one with a known dedupe key changes nothing. Say whether it is new.

    `repeated` when it may have arrived already by another way.
    """
    inserted = connection.execute(
        "INSERT OR IGNORE INTO outbox (dedupe_key, chat_id, thread_id, kind, urgency, order_id, revision, facts,"
        " repeated, not_before, created_at, command) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " coalesce((SELECT command_key FROM orders WHERE id = ?), ?))",
        (
            notice.dedupe_key,
            notice.chat_id,
            notice.thread_id,
            notice.kind,
            notice.urgency,
            notice.order_id,
            notice.revision,
            json.dumps(dict(notice.facts), ensure_ascii=False),
            int(repeated),
            now,
            now,
            notice.order_id,
            notice.command,
        ),
    )
    return inserted.rowcount == 1


def claim(
    connection: sqlite3.Connection, busy: Iterable[int], now: int, limit: int, least: Urgency = Urgency.TALK
) -> list[Letter]:
    """Take the most urgent due letter of each chat that is not `busy`, and mark it as being sent.

    Letters that are less urgent than `least` stay where they are.
    The mark is on disk before the first byte leaves, so that a crash in between is known afterwards.
    """
    excluded = sorted(set(busy))
    others = f"chat_id NOT IN ({','.join('?' * len(excluded))})"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER (PARTITION BY chat_id ORDER BY urgency, id) AS place"
        f" FROM outbox WHERE state = 'pending' AND not_before <= ? AND urgency <= ? AND {others})"
        " WHERE place = 1 ORDER BY urgency, id LIMIT ?",
        (now, least, *excluded, limit),
    ).fetchall()
    connection.executemany(
        "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE id = ?", [(row["id"],) for row in rows]
    )
    return [_letter(row) for row in rows]


def is_due(connection: sqlite3.Connection, busy: Iterable[int], now: int, least: Urgency = Urgency.TALK) -> bool:
    """Whether `claim` would find anything; it spares a write for nothing."""
    excluded = sorted(set(busy))
    row = connection.execute(
        "SELECT 1 FROM outbox WHERE state = 'pending' AND not_before <= ? AND urgency <= ?"
        f" AND chat_id NOT IN ({','.join('?' * len(excluded))}) LIMIT 1",
        (now, least, *excluded),
    ).fetchone()
    return row is not None


def delivered(connection: sqlite3.Connection, letter_id: int, message_id: int | None, now: int) -> None:
    """Mark a letter as arrived."""
    connection.execute(
        "UPDATE outbox SET state = 'sent', message_id = ?, sent_at = ?, error = NULL WHERE id = ?",
        (message_id, now, letter_id),
    )


def postpone(connection: sqlite3.Connection, letter_id: int, until: int, error: str, *, repeated: bool) -> None:
    """Put a letter back until then. `repeated` when this try may have arrived after all."""
    connection.execute(
        "UPDATE outbox SET state = 'pending', not_before = ?, error = ?, repeated = max(repeated, ?) WHERE id = ?",
        (until, error, int(repeated), letter_id),
    )


def postpone_chat(connection: sqlite3.Connection, chat_id: int, until: int) -> None:
    """Let nothing leave for that chat before then."""
    connection.execute(
        "UPDATE outbox SET not_before = max(not_before, ?) WHERE state = 'pending' AND chat_id = ?", (until, chat_id)
    )


def bury(connection: sqlite3.Connection, letter_id: int, error: str, now: int) -> None:
    """Give up on a letter; it stays as a dead letter for admins to see."""
    connection.execute("UPDATE outbox SET state = 'dead', error = ?, sent_at = ? WHERE id = ?", (error, now, letter_id))


def revive(connection: sqlite3.Connection) -> int:
    """After a crash: what was being sent goes out again, marked as a possible repeat. Return how many."""
    return connection.execute("UPDATE outbox SET state = 'pending', repeated = 1 WHERE state = 'sending'").rowcount


def hurry(connection: sqlite3.Connection, now: int) -> None:
    """Let everything that waits leave now: a date that was set back has made its waiting meaningless."""
    connection.execute("UPDATE outbox SET not_before = ? WHERE state = 'pending' AND not_before > ?", (now, now))


def hurry_to(connection: sqlite3.Connection, chat_id: int, now: int) -> None:
    """Let what waits for one chat leave now: whoever is there can be written to after all."""
    connection.execute("UPDATE outbox SET not_before = ? WHERE state = 'pending' AND chat_id = ?", (now, chat_id))


def next_due(connection: sqlite3.Connection) -> int | None:
    """When (unix ms) the next waiting letter may leave, or None if none waits."""
    (moment,) = connection.execute("SELECT min(not_before) FROM outbox WHERE state = 'pending'").fetchone()
    return None if moment is None else int(moment)


def depth(connection: sqlite3.Connection) -> Mapping[str, int]:
    """How many letters wait, are under way, or are dead."""
    rows = connection.execute("SELECT state, count(*) AS n FROM outbox WHERE state <> 'sent' GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def oldest(connection: sqlite3.Connection) -> int | None:
    """Since when (unix ms) the oldest letter waits, or None if none does."""
    (since,) = connection.execute("SELECT min(created_at) FROM outbox WHERE state IN ('pending', 'sending')").fetchone()
    return since if since is None else int(since)


def begun_with(connection: sqlite3.Connection, kind: NoticeKind, begins: str) -> list[tuple[int, int]]:
    """The number and the chat of each letter of a kind whose dedupe key begins like that."""
    behind = begins[:-1] + chr(ord(begins[-1]) + 1)
    rows = connection.execute(
        "SELECT id, chat_id FROM outbox WHERE dedupe_key >= ? AND dedupe_key < ? AND kind = ? ORDER BY id",
        (begins, behind, kind),
    )
    return [(row["id"], row["chat_id"]) for row in rows]


def message_of(connection: sqlite3.Connection, letter_id: int) -> int | None:
    """The message that a letter has become; None: it has not arrived, or nobody knows."""
    row = connection.execute("SELECT message_id FROM outbox WHERE id = ?", (letter_id,)).fetchone()
    return None if row is None or row["message_id"] is None else int(row["message_id"])


def codes_in_chats(connection: sqlite3.Connection, sent_before: int, limit: int) -> list[InChat]:
    """The codes that were sent before that moment and still stand in their chats, the oldest first.

    A copy that may have arrived without its answer is not among them: nobody knows its number.
    """
    rows = connection.execute(
        "SELECT id AS letter_id, chat_id, message_id, order_id, revision FROM outbox WHERE kind = 'code'"
        " AND state = 'sent' AND erased_at IS NULL AND sent_at < ? AND message_id IS NOT NULL"
        " ORDER BY sent_at LIMIT ?",
        (sent_before, limit),
    )
    return [InChat(**row) for row in map(dict, rows)]


def erased(connection: sqlite3.Connection, letter_id: int, now: int) -> None:
    """The code of a letter stands in its chat no more, or is out of reach."""
    connection.execute("UPDATE outbox SET erased_at = ? WHERE id = ?", (now, letter_id))


def forget(connection: sqlite3.Connection, sent_before: int) -> int:
    """Delete letters that arrived before that moment; return how many."""
    return connection.execute("DELETE FROM outbox WHERE state = 'sent' AND sent_at < ?", (sent_before,)).rowcount


def _letter(row: sqlite3.Row) -> Letter:
    notice = Notice(
        kind=NoticeKind(row["kind"]),
        chat_id=row["chat_id"],
        dedupe_key=row["dedupe_key"],
        thread_id=row["thread_id"],
        order_id=row["order_id"],
        revision=row["revision"],
        urgency=Urgency(row["urgency"]),
        facts=json.loads(row["facts"]),
        command=row["command"],
    )
    return Letter(row["id"], notice, bool(row["repeated"]), row["attempts"], row["created_at"])
