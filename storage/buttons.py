"""Buttons: what is behind a press, who may press it, until when, and whether it was used."""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ANYBODY: Final = 0
"""The owner of a button that any person may press."""

Facts = Mapping[str, str | int | None]

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Button:
    """A button's row, found by its nonce. `facts` say what it acts on; never a price."""

    nonce: str
    action: str
    owner: int
    facts: Facts
    expires_at: int
    used_by: str | None


def make(connection: sqlite3.Connection, action: str, owner: int, facts: Facts, expires_at: int) -> str:
    """Keep a new button and return its nonce, which nobody can guess."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    connection.execute(
        "INSERT INTO buttons (nonce, action, owner, facts, expires_at) VALUES (?, ?, ?, ?, ?)",
        (nonce, action, owner, json.dumps(facts), expires_at),
    )
    return nonce


def find(connection: sqlite3.Connection, nonce: str) -> Button | None:
    """The button by that nonce, or None."""
    row = connection.execute(
        "SELECT nonce, action, owner, facts, expires_at, used_by FROM buttons WHERE nonce = ?", (nonce,)
    ).fetchone()
    return Button(**{**dict(row), "facts": json.loads(row["facts"])}) if row else None


def use(connection: sqlite3.Connection, nonce: str, key: str, now: int) -> bool:
    """Use a button up for the update called `key`; say whether that update is the one.

    The same update may use it again: after a crash it is dealt with a second time, and must not be turned away.
    """
    used = connection.execute(
        "UPDATE buttons SET used_by = ? WHERE nonce = ? AND (used_by IS NULL OR used_by = ?) AND expires_at > ?",
        (key, nonce, key, now),
    )
    return used.rowcount == 1


def free(connection: sqlite3.Connection, nonce: str, key: str) -> None:
    """Make a button usable again that the update called `key` used up in vain."""
    connection.execute("UPDATE buttons SET used_by = NULL WHERE nonce = ? AND used_by = ?", (nonce, key))


def forget(connection: sqlite3.Connection, expired_before: int) -> int:
    """Delete buttons that expired before that moment; return how many."""
    return connection.execute("DELETE FROM buttons WHERE expires_at < ?", (expired_before,)).rowcount
