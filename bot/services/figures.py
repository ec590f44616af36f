"""The figures that the database knows, for /metrics: read when somebody asks, so that a restart forgets none."""

import asyncio
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.clock import moment
from bot.domain.limits import LimitName
from bot.services.desk import Desk
from storage import backup, inbox, ledger, members, orders, outbox, settings
from storage.members import TEAM

_PERIODS: Final = {"day": LimitName.TEAM_DAILY, "month": LimitName.TEAM_MONTHLY}


@dataclass(frozen=True, slots=True)
class _Figures:
    by_state: Mapping[str, int]
    held: int
    undecided: int
    team_left: Mapping[str, int]
    letters: Mapping[str, int]
    oldest_letter: int | None
    updates: int
    oldest_update: int | None
    paused: bool


async def take(desk: Desk) -> bytes:
    """Bring every gauge up to date and return the whole page.

    Raises:
        sqlite3.Error: the database cannot be read.
    """
    figures = await desk.database.read(lambda connection: _read(desk, connection))
    _show_books(desk, figures)
    _show_queues(desk, figures)
    _show_surroundings(desk)
    return desk.metrics.page()


def _read(desk: Desk, connection: sqlite3.Connection) -> _Figures:
    window = desk.calendar.window
    caps = members.limits_of(connection, TEAM, desk.settings.limits.defaults, desk.now)
    periods = {"day": window.day, "month": window.month}
    return _Figures(
        by_state=orders.count_by_state(connection),
        held=orders.held(connection),
        undecided=len(orders.undecided(connection)),
        team_left={
            name: ledger.usage(connection, TEAM, period).left(caps[_PERIODS[name]]) for name, period in periods.items()
        },
        letters=outbox.depth(connection),
        oldest_letter=outbox.oldest(connection),
        updates=inbox.depth(connection),
        oldest_update=inbox.oldest(connection),
        paused=settings.get(connection, settings.PAUSED) is not None,
    )


def _show_books(desk: Desk, figures: _Figures) -> None:
    show = desk.metrics.show
    desk.metrics.show_each("orders", "Orders in the books, by state", "state", figures.by_state)
    show("held_rupiah", "Money on hold for orders whose outcome is open", figures.held)
    show("orders_undecided", "Orders that wait for an admin", figures.undecided)
    desk.metrics.show_each("team_left_rupiah", "What the team may still spend", "period", figures.team_left)
    show("paused", "1 while new orders are stopped", figures.paused)


def _show_queues(desk: Desk, figures: _Figures) -> None:
    show, now = desk.metrics.show, desk.now
    letters = {"pending": 0, "sending": 0, "dead": 0, **figures.letters}
    desk.metrics.show_each("outbox_letters", "Messages not delivered", "state", letters)
    show("outbox_oldest_seconds", "Age of the oldest message that waits", _age(figures.oldest_letter, now))
    show("inbox_updates", "Commands and presses that wait", figures.updates)
    show("inbox_oldest_seconds", "Age of the oldest of them", _age(figures.oldest_update, now))


def _show_surroundings(desk: Desk) -> None:
    show, requests = desk.metrics.show, desk.requests
    show("smscode_requests_left", "Requests left of this minute's budget", requests.per_minute - requests.used)
    show("smscode_pause_seconds", "For how long SMSCode has asked to wait", requests.pause_left)
    show("tasks", "Tasks of the event loop, at work or waiting", len(asyncio.all_tasks()))
    files = [desk.database.path, desk.database.path.with_name(f"{desk.database.path.name}-wal")]
    show("database_bytes", "Size of the database", sum(file.stat().st_size for file in files if file.exists()))
    show("disk_free_bytes", "Room left where the database is", shutil.disk_usage(desk.database.path.parent).free)
    folder = desk.settings.backup.folder_of(desk.database.path)
    newest = backup.newest(folder, moment(desk.clock))
    made_at = newest.timestamp() if newest else 0.0
    show("backup_timestamp_seconds", "When the newest backup was made; 0: there is none", made_at)


def _age(since: int | None, now: int) -> float:
    return 0.0 if since is None else max(0.0, (now - since) / 1000)
