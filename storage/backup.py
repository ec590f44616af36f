"""Backups: a whole copy of the database without any code in it, and the way back.

A backup is a database like any other, so whatever can read one can read the other. It is made beside a running desk.
A restored desk starts with its orders stopped: what was ordered after the backup is not in its books.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storage import ledger, settings
from storage.database import DatabaseUnusable, lock_file
from storage.migrate import ForeignDatabase, check, migrate

RESTORED: Final = "restored from a backup; its newest orders may be missing"
"""Why a restored desk takes no orders."""

_PRIVATE: Final = 0o600
_COMPANIONS: Final = ("-journal", "-wal", "-shm")

_UNTOLD: Final = (
    "SELECT order_id, revision FROM outbox WHERE kind = 'code' AND state <> 'sent'"
    " AND order_id IN (SELECT id FROM orders WHERE ended_at IS NULL)"
)
_WITHOUT_CODES: Final = (
    # A code of a live order that nobody has been told yet is forgotten whole: it is read from SMSCode again.
    f"DELETE FROM sms WHERE (order_id, revision) IN ({_UNTOLD})",
    f"DELETE FROM outbox WHERE kind = 'code' AND (order_id, revision) IN ({_UNTOLD})",
    "UPDATE sms SET code = NULL, text = NULL, purged = 1 WHERE purged = 0",
)


class BackupUnusable(Exception):
    """The backup cannot be restored; the message says why and what to do. Nothing has changed."""


def back_up(database: Path, target: Path, identity: str) -> None:
    """Copy the database at `database`, which a running desk may hold open, to `target`, without codes and texts.

    Raises:
        DatabaseUnusable: there is no database of this desk to copy. FileExistsError: `target` is there already.
        OSError: `target` cannot be written.
    """
    with contextlib.closing(_open_to_read(database)) as source:
        try:
            _check(source, identity)
            if target.exists():
                raise FileExistsError(f"{target} is there already; name another file")
            target.parent.mkdir(parents=True, exist_ok=True)
            with _written_whole(target) as copy:
                source.backup(copy)
                _leave_codes_out(copy)
                _check_sound(copy)
        except (ForeignDatabase, sqlite3.Error, UnicodeDecodeError) as error:
            raise DatabaseUnusable(f"{database}: {error}") from error


def _leave_codes_out(copy: sqlite3.Connection) -> None:
    copy.execute("PRAGMA journal_mode = DELETE")
    copy.execute("PRAGMA secure_delete = ON")
    for statement in _WITHOUT_CODES:
        copy.execute(statement)
    # A row that was deleted long ago may still stand in a free page of the copy.
    copy.execute("VACUUM")


def restore(backup: Path, database: Path, identity: str, now: datetime) -> Path | None:
    """Put the backup in the place of the database, with orders stopped; return where the old one is kept, if any.

    Raises:
        BackupUnusable: it is damaged, not of this desk, or of a newer one. DatabaseInUse: the desk runs.
        DatabaseUnusable, OSError: the place of the database cannot be written.
    """
    try:
        source = _open_to_read(backup)
    except DatabaseUnusable as error:
        raise BackupUnusable(str(error)) from error
    with contextlib.closing(source):
        try:
            _check(source, identity)
            _check_sound(source)
        except (ForeignDatabase, sqlite3.Error, UnicodeDecodeError) as error:
            raise BackupUnusable(f"{backup}: {error}") from error
        with contextlib.closing(lock_file(database)):
            return _put_in_place(source, database, identity, now)


def _put_in_place(source: sqlite3.Connection, database: Path, identity: str, now: datetime) -> Path | None:
    fresh = database.with_name(f"{database.name}.restoring")
    fresh.unlink(missing_ok=True)
    with _written_whole(fresh) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        migrate(copy)
        settings.put(copy, settings.IDENTITY, identity)
        settings.put(copy, settings.PAUSED, RESTORED)
        settings.put(copy, settings.RESTORED, now.astimezone(UTC).isoformat(timespec="seconds"))
    kept = _set_aside(database, now)
    fresh.replace(database)
    _sync_folder(database.parent)
    return kept


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Keep the present database with what belongs to it under another name; an empty one is nothing to keep."""
    if not database.stat().st_size:
        return None
    kept = database.with_name(f"{database.name}.before-restore-{now.astimezone(UTC):%Y%m%d-%H%M%S}")
    database.replace(kept)
    for companion in _COMPANIONS:
        beside = database.with_name(database.name + companion)
        if beside.exists():
            beside.replace(kept.with_name(kept.name + companion))
    return kept


@contextlib.contextmanager
def _written_whole(target: Path) -> Iterator[sqlite3.Connection]:
    """A new private database that appears under its name only once it is whole and on disk."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE))
    try:
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
        _sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_to_read(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"{path}: {error}; is this the right file?") from error
    connection.row_factory = sqlite3.Row
    return connection


def _check(connection: sqlite3.Connection, identity: str) -> None:
    """Whether this is a database of this very desk.

    Raises:
        ForeignDatabase: it is not. sqlite3.Error: it cannot be read.
    """
    if not check(connection):
        raise ForeignDatabase("this file is empty; name the backup that otpdesk has made")
    settings.check_identity(connection, identity)


def _check_sound(connection: sqlite3.Connection) -> None:
    """Whether every page can be read and the books agree.

    Raises:
        ForeignDatabase: something is broken. sqlite3.Error: it cannot even be read.
    """
    (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise ForeignDatabase(f"this file is damaged ({str(found)[:100]}); take another backup")
    wrong = ledger.discrepancies(connection) if check(connection) else []
    if wrong:
        raise ForeignDatabase(f"the books in this file disagree ({wrong[0]}); take another backup")
