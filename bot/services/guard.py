"""SMSCode's abuse guard: after too many failures it takes no new order of the account, so of the whole team.

The desk then orders nothing until the guard ends, across restarts, and tells everyone for how long.
"""

import math
import sqlite3
from typing import Final

from bot.domain.errors import AbuseGuard, OrderingBanned
from bot.domain.notices import Notice, NoticeKind
from bot.services.desk import Desk
from storage import audit, members, outbox, settings

_UNSAID: Final = 300.0
"""Seconds to wait where SMSCode does not say how long."""

_LONGEST: Final = 7 * 86_400
"""Seconds; a longer word is a mistake of somebody's clock, and the guard would answer again anyway."""


def begin(desk: Desk, connection: sqlite3.Connection, error: AbuseGuard) -> None:
    """Stop new orders until the guard ends, and tell the admins and the team's groups."""
    until = _ends(desk.now / 1000, error)
    known = settings.get(connection, settings.GUARDED)
    if known is not None and int(known) >= until:
        return
    settings.put(connection, settings.GUARDED, str(until))
    tier = str(error.details.get("tier") or "")[:32]
    audit.write(connection, desk.now, audit.DESK, "guard.begin", until=until, tier=tier)
    chats = {chat.chat_id for chat in members.chats(connection)} | set(desk.admin_chats(connection))
    for chat_id in chats:
        key = f"guard:{until}:{chat_id}"
        outbox.put(connection, Notice(NoticeKind.GUARD, chat_id, key, facts={"until": until}), desk.now)


def ends_at(connection: sqlite3.Connection, now: int) -> int | None:
    """When new orders open again (unix seconds), or None while nothing stops them; `now` is unix milliseconds."""
    until = settings.get(connection, settings.GUARDED)
    left = int(until) * 1000 - now if until is not None else 0
    # What is further away than any guard lasts, and a little more, was written by a clock that was wrong.
    return int(until or 0) if 0 < left <= _LONGEST * 1000 + 60_000 else None


def check(connection: sqlite3.Connection, now: int) -> None:
    """Let an order pass only while the guard is not up.

    Raises:
        OrderingBanned: it is.
    """
    until = ends_at(connection, now)
    if until is not None:
        raise OrderingBanned(until)


def _ends(now: float, error: AbuseGuard) -> int:
    """The guard's end in unix seconds, by its own count of seconds before its clock."""
    if error.seconds is not None:
        wait = error.seconds
    elif error.until is not None:
        wait = error.until - now
    else:
        wait = _UNSAID
    return math.ceil(now + min(max(wait, 1.0), _LONGEST))
