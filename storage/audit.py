"""The audit: one line for every change and every order, never changed and never deleted."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DESK: Final = 0
"""The actor of what the desk did by itself."""

Detail = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the audit; `at` is unix milliseconds."""

    id: int
    at: int
    actor_id: int
    action: str
    subject: int | None
    order_id: int | None
    detail: Detail


def write(
    connection: sqlite3.Connection,
    now: int,
    actor_id: int,
    action: str,
    *,
    subject: int | None = None,
    order_id: int | None = None,
    **detail: str | int | bool | None,
) -> None:
    """Add one line. `detail` holds facts a reader needs later; never a code, never a token."""
    connection.execute(
        "INSERT INTO audit (at, actor_id, action, subject, order_id, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (now, actor_id, action, subject, order_id, json.dumps(detail, ensure_ascii=False, sort_keys=True)),
    )


def latest(connection: sqlite3.Connection, limit: int, order_id: int | None = None) -> list[Line]:
    """The newest lines first, of one order if it is named."""
    of_one, values = ("", ()) if order_id is None else ("WHERE order_id = ?", (order_id,))
    rows = connection.execute(
        f"SELECT id, at, actor_id, action, subject, order_id, detail FROM audit {of_one} ORDER BY id DESC LIMIT ?",
        (*values, limit),
    )
    return [Line(**{**row, "detail": json.loads(row["detail"])}) for row in map(dict, rows)]


def count(connection: sqlite3.Connection, actor_id: int, action: str, since: int) -> int:
    """How often a person has done something since that moment."""
    (number,) = connection.execute(
        "SELECT count(*) FROM audit WHERE actor_id <> 0 AND actor_id = ? AND action = ? AND at >= ?",
        (actor_id, action, since),
    ).fetchone()
    return int(number)
