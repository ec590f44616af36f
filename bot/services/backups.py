"""Copies of the books beside a running desk: made on demand or by the clock, checked, and not too many of them."""

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from bot.clock import moment
from bot.domain.errors import BackupFailed
from bot.services.desk import Desk
from storage import audit, backup
from storage.database import DatabaseUnusable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made: where it is, its size in bytes, and how many there are now."""

    path: Path
    size: int
    kept: int


async def make(desk: Desk, actor_id: int) -> Made:
    """Copy the books without any code, check the copy, and let the oldest ones go.

    Raises:
        BackupFailed: there is no new copy; those of before are all there.
    """
    folder = desk.settings.backup.folder_of(desk.database.path)
    path = folder / backup.file_name(moment(desk.clock))
    identity = desk.settings.telegram.bot_id
    try:
        await asyncio.to_thread(backup.back_up, desk.database.path, path, identity, moment(desk.clock))
        size = path.stat().st_size
        kept = await asyncio.to_thread(backup.rotate, folder, desk.settings.backup.keep, moment(desk.clock))
    except (DatabaseUnusable, OSError, sqlite3.Error) as error:
        raise BackupFailed(str(error)[:200]) from error
    await desk.transact(
        lambda connection: audit.write(connection, desk.now, actor_id, "desk.backup", name=path.name, size=size)
    )
    log.info("%s is a backup of %d bytes; %d are kept", path, size, kept)
    return Made(path, size, kept)


async def due_in(desk: Desk) -> float:
    """Seconds until the next backup by the clock; 0 or less: now."""
    now = moment(desk.clock)
    newest = await asyncio.to_thread(backup.newest, desk.settings.backup.folder_of(desk.database.path), now)
    return desk.settings.backup.every - (now - newest).total_seconds() if newest is not None else 0.0


async def tell(desk: Desk, error: BackupFailed) -> None:
    """Tell the admins, once a day, that there is no fresh backup."""
    day = desk.calendar.window.day
    await desk.transact(lambda connection: desk.alert(connection, f"backup:{day}", what="backup", reason=error.reason))
