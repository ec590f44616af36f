"""Who is on the allowlist, which groups are, what each may spend, and who has asked to come in."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.domain.access import Member, Role
from bot.domain.limits import TEAM_LIMITS, LimitName

TEAM = 0
"""The owner of the team's own limits and budgets."""


def get(connection: sqlite3.Connection, user_id: int) -> Member | None:
    """The active member by that id, or None."""
    row = connection.execute(
        "SELECT user_id, name, role, owner FROM members WHERE user_id = ? AND active = 1", (user_id,)
    ).fetchone()
    return _member(row) if row else None


def among(connection: sqlite3.Connection, user_ids: Collection[int]) -> frozenset[int]:
    """Those of the ids that belong to active members."""
    rows = connection.execute(
        "SELECT user_id FROM members WHERE active = 1 AND user_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(user_ids)),),
    )
    return frozenset(row["user_id"] for row in rows)


def everybody(connection: sqlite3.Connection) -> list[Member]:
    """All active members: the highest roles first, then by name."""
    rows = connection.execute("SELECT user_id, name, role, owner FROM members WHERE active = 1")
    return sorted(map(_member, rows), key=lambda member: (-member.role.rank, member.name.casefold(), member.user_id))


def admins(connection: sqlite3.Connection) -> list[Member]:
    """The active admins, by name."""
    rows = connection.execute(
        "SELECT user_id, name, role, owner FROM members WHERE active = 1 AND role = ?", (Role.ADMIN,)
    )
    return sorted(map(_member, rows), key=lambda member: (member.name.casefold(), member.user_id))


def name_of(connection: sqlite3.Connection, user_id: int) -> str | None:
    """The name last known of a person who is or was on the allowlist."""
    row = connection.execute("SELECT name FROM members WHERE user_id = ?", (user_id,)).fetchone()
    return str(row["name"]) if row else None


def names(connection: sqlite3.Connection) -> dict[int, str]:
    """The name last known of everybody who is or was on the allowlist, by their id."""
    return {row["user_id"]: str(row["name"]) for row in connection.execute("SELECT user_id, name FROM members")}


def names_of(connection: sqlite3.Connection, user_ids: Collection[int]) -> dict[int, str]:
    """The names last known of those persons, as far as they are or were on the allowlist."""
    rows = connection.execute(
        "SELECT user_id, name FROM members WHERE user_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(user_ids)),),
    )
    return {row["user_id"]: str(row["name"]) for row in rows}


def stranger_name(connection: sqlite3.Connection, user_id: int) -> str | None:
    """The name a stranger gave when they were last noticed."""
    row = connection.execute("SELECT name FROM access_requests WHERE user_id = ?", (user_id,)).fetchone()
    return str(row["name"]) if row else None


def allow(connection: sqlite3.Connection, user_id: int, name: str, role: Role, added_by: int, now: int) -> None:
    """Put a person on the allowlist, or back on it, with that role."""
    connection.execute(
        "INSERT INTO members (user_id, name, role, added_by, added_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, role = excluded.role, active = 1,"
        " added_by = excluded.added_by, added_at = excluded.added_at",
        (user_id, name, role, added_by, now),
    )
    connection.execute("DELETE FROM access_requests WHERE user_id = ?", (user_id,))


def revoke(connection: sqlite3.Connection, user_id: int) -> None:
    """Take a person off the allowlist; their orders and lines stay."""
    connection.execute("UPDATE members SET active = 0 WHERE user_id = ?", (user_id,))


def set_role(connection: sqlite3.Connection, user_id: int, role: Role) -> None:
    """Give a member another role."""
    connection.execute("UPDATE members SET role = ? WHERE user_id = ?", (role, user_id))


def rename(connection: sqlite3.Connection, user_id: int, name: str) -> None:
    """Keep the name a member goes by now."""
    connection.execute("UPDATE members SET name = ? WHERE user_id = ? AND name <> ?", (name, user_id, name))


def install_owners(connection: sqlite3.Connection, owners: frozenset[int], now: int) -> None:
    """Make the configuration's owners admins, and nobody else an owner."""
    connection.execute("UPDATE members SET owner = 0")
    for user_id in sorted(owners):
        connection.execute(
            "INSERT INTO members (user_id, name, role, owner, added_by, added_at) VALUES (?, ?, ?, 1, ?, ?)"
            " ON CONFLICT (user_id) DO UPDATE SET role = excluded.role, owner = 1, active = 1",
            (user_id, f"owner {user_id}", Role.ADMIN, user_id, now),
        )


def limits_of(
    connection: sqlite3.Connection, user_id: int, defaults: Mapping[LimitName, int], now: int
) -> dict[LimitName, int]:
    """Every limit that binds a member at `now`: the defaults, overlaid with what was set for the team and for them."""
    lasting = lasting_limits_of(connection, user_id, defaults)
    return lasting | {name: limit.amount for name, limit in temporary_limits_of(connection, user_id, now).items()}


def lasting_limits_of(
    connection: sqlite3.Connection, user_id: int, defaults: Mapping[LimitName, int]
) -> dict[LimitName, int]:
    """The same without those that are set for a time only: what a temporary limit falls back to."""
    rows = connection.execute(
        "SELECT owner, name, amount FROM limits WHERE owner IN (?, ?)", (TEAM, user_id)
    ).fetchall()
    stored = {(row["owner"], row["name"]): row["amount"] for row in rows}
    return {name: stored.get((_owner_of(name, user_id), name.value), default) for name, default in defaults.items()}


@dataclass(frozen=True, slots=True)
class TemporaryLimit:
    """A limit that binds until a moment (unix milliseconds), and not at that moment any more."""

    amount: int
    until: int


def temporary_limits_of(connection: sqlite3.Connection, user_id: int, now: int) -> dict[LimitName, TemporaryLimit]:
    """The limits that bind a member for a time, as far as that time is not over at `now`."""
    rows = connection.execute(
        "SELECT owner, name, amount, until FROM temporary_limits WHERE owner IN (?, ?) AND until > ?",
        (TEAM, user_id, now),
    )
    return {
        LimitName(row["name"]): TemporaryLimit(row["amount"], row["until"])
        for row in rows
        if row["owner"] == _owner_of(LimitName(row["name"]), user_id)
    }


def set_temporary_limit(connection: sqlite3.Connection, owner: int, name: LimitName, amount: int, until: int) -> None:
    """Set a limit of a member or of `TEAM` until a moment (unix milliseconds); the lasting one stays beneath it."""
    connection.execute(
        "INSERT OR REPLACE INTO temporary_limits (owner, name, amount, until) VALUES (?, ?, ?, ?)",
        (owner, name, amount, until),
    )


def forget_temporary_limits(connection: sqlite3.Connection, over_before: int) -> None:
    """Delete those that were over before that moment; they bind nobody any more."""
    connection.execute("DELETE FROM temporary_limits WHERE until < ?", (over_before,))


def _owner_of(name: LimitName, user_id: int) -> int:
    return TEAM if name in TEAM_LIMITS else user_id


def set_limit(connection: sqlite3.Connection, owner: int, name: LimitName, amount: int | None) -> None:
    """Set a lasting limit of a member or of `TEAM`; None goes back to the configuration's default.

    One that was set for a time is over with it: the newest word counts.
    """
    connection.execute("DELETE FROM temporary_limits WHERE owner = ? AND name = ?", (owner, name))
    if amount is None:
        connection.execute("DELETE FROM limits WHERE owner = ? AND name = ?", (owner, name))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO limits (owner, name, amount) VALUES (?, ?, ?)", (owner, name, amount)
        )


@dataclass(frozen=True, slots=True)
class Chat:
    """A group the bot works in."""

    chat_id: int
    title: str


def chat(connection: sqlite3.Connection, chat_id: int) -> Chat | None:
    """The allowed group by that id, or None."""
    row = connection.execute("SELECT chat_id, title FROM chats WHERE chat_id = ?", (chat_id,)).fetchone()
    return Chat(**row) if row else None


def chats(connection: sqlite3.Connection) -> list[Chat]:
    """Every group the bot works in."""
    return [Chat(**row) for row in connection.execute("SELECT chat_id, title FROM chats ORDER BY chat_id")]


def allow_chat(connection: sqlite3.Connection, chat_id: int, title: str, added_by: int, now: int) -> None:
    """Let the bot work in a group."""
    connection.execute(
        "INSERT OR REPLACE INTO chats (chat_id, title, added_by, added_at) VALUES (?, ?, ?, ?)",
        (chat_id, title, added_by, now),
    )


def forget_chat(connection: sqlite3.Connection, chat_id: int) -> bool:
    """Stop working in a group; say whether the bot did before."""
    return connection.execute("DELETE FROM chats WHERE chat_id = ?", (chat_id,)).rowcount > 0


def move_chat(connection: sqlite3.Connection, old: int, new: int) -> None:
    """Follow a group that became a supergroup under another id, with everything that lives in it."""
    connection.execute("UPDATE OR REPLACE chats SET chat_id = ? WHERE chat_id = ?", (new, old))
    connection.execute("UPDATE orders SET chat_id = ?, card_message_id = NULL WHERE chat_id = ?", (new, old))
    connection.execute("UPDATE approvals SET chat_id = ? WHERE chat_id = ?", (new, old))
    connection.execute("UPDATE outbox SET chat_id = ? WHERE chat_id = ? AND state <> 'sent'", (new, old))
    connection.execute("UPDATE stock_watches SET chat_id = ? WHERE chat_id = ?", (new, old))


def notice_stranger(
    connection: sqlite3.Connection, user_id: int, name: str, now: int, quiet_for: int, most: int
) -> bool:
    """Whether a stranger is to get an access notice now: at most one each `quiet_for` ms, `most` strangers in all."""
    row = connection.execute("SELECT last_notice_at FROM access_requests WHERE user_id = ?", (user_id,)).fetchone()
    if row is not None and now - row["last_notice_at"] < quiet_for:
        return False
    (known,) = connection.execute("SELECT count(*) FROM access_requests").fetchone()
    if row is None and known >= most:
        return False
    connection.execute(
        "INSERT INTO access_requests (user_id, name, last_notice_at) VALUES (?, ?, ?)"
        " ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, last_notice_at = excluded.last_notice_at",
        (user_id, name, now),
    )
    return True


def keep_words(connection: sqlite3.Connection, user_id: int, words: str) -> None:
    """Keep the first words of a stranger; later ones change nothing."""
    connection.execute("UPDATE access_requests SET words = ? WHERE user_id = ? AND words = ''", (words, user_id))


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A stranger who asks to come in; `asked_at` is unix milliseconds."""

    user_id: int
    name: str
    words: str
    asked_at: int


_REQUEST = "user_id, name, words, asked_at"


def ask_access(connection: sqlite3.Connection, user_id: int, now: int) -> AccessRequest | None:
    """Note that a stranger asks to come in; return the request the first time, None when they already asked."""
    row = connection.execute(
        f"UPDATE access_requests SET asked_at = ? WHERE user_id = ? AND asked_at IS NULL RETURNING {_REQUEST}",
        (now, user_id),
    ).fetchone()
    return AccessRequest(**row) if row else None


def open_requests(connection: sqlite3.Connection) -> list[AccessRequest]:
    """Who has asked and has had no answer, the longest waiting first."""
    rows = connection.execute(
        f"SELECT {_REQUEST} FROM access_requests WHERE asked_at IS NOT NULL AND refused_at IS NULL ORDER BY asked_at"
    )
    return [AccessRequest(**row) for row in rows]


def refuse_access(connection: sqlite3.Connection, user_id: int, now: int) -> bool:
    """Close an open request with a no; say whether there was one."""
    return (
        connection.execute(
            "UPDATE access_requests SET refused_at = ?"
            " WHERE user_id = ? AND asked_at IS NOT NULL AND refused_at IS NULL",
            (now, user_id),
        ).rowcount
        == 1
    )


def forget_strangers(connection: sqlite3.Connection, asked_before: int, silent_before: int) -> None:
    """Delete the rows of strangers last told before the first moment, or before the second if they never asked."""
    connection.execute(
        "DELETE FROM access_requests WHERE last_notice_at < CASE WHEN asked_at IS NULL THEN ? ELSE ? END",
        (silent_before, asked_before),
    )


def _member(row: sqlite3.Row) -> Member:
    return Member(row["user_id"], row["name"], Role(row["role"]), bool(row["owner"]))
