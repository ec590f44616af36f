"""Backups: a whole copy of the database without any code in it, and the way back.

A backup is a database like any other, so whatever can read one can read the other. It is made beside a running desk
and needs no memory to speak of: the pages go into a file without a name beside the database, where codes are anyway,
and only what is left after they are taken out is written to the folder of the backups. A restored desk starts with its
orders stopped, and believes nothing that may have changed since: what was ordered, told or commanded after the backup
is not in its books.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
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

_NAME_TIME: Final = "%Y%m%d-%H%M%S"
_PRIVATE: Final = 0o600
_FOLDER: Final = 0o700
_COPYING: Final = ".copying"
_UNFINISHED: Final = ".unfinished"
"""How the names of files end that are gone once the work is done, or at the next one if it was killed."""

_BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a database, by how its name ends."""

_UNTOLD: Final = (
    "SELECT order_id, revision FROM outbox WHERE kind = 'code' AND state <> 'sent'"
    " AND order_id IN (SELECT id FROM orders WHERE ended_at IS NULL)"
)
_WITHOUT_CODES: Final = (
    # A code of a live order that nobody has been told yet is forgotten whole: it is read from SMSCode again.
    f"DELETE FROM sms WHERE (order_id, revision) IN ({_UNTOLD})",
    f"DELETE FROM outbox WHERE kind = 'code' AND (order_id, revision) IN ({_UNTOLD})",
    "UPDATE sms SET code = NULL, text = NULL, purged = 1 WHERE purged = 0",
    # A reply to a code brings the code along, and an answer that waits may hold anything.
    "UPDATE inbox SET body = '' WHERE body <> ''",
    "DELETE FROM outbox WHERE kind = 'text' AND state IN ('pending', 'sending')",
    "UPDATE outbox SET facts = '{}' WHERE kind = 'text'",
)
_WITHOUT_TRUST: Final = (
    # The desk may have gone on after the backup. What was on its way then may have become anything since: no balance
    # of today proves it, and asking again under its key could buy what was refused meanwhile.
    "UPDATE orders SET needs_admin = 1, state = 'unknown' WHERE state IN ('reserved', 'sent', 'unknown')",
    # What was asked or approved then may have been bought since.
    "UPDATE approvals SET state = 'expired' WHERE state IN ('open', 'approved')",
    "UPDATE outbox SET repeated = 1 WHERE state IN ('pending', 'sending')",
    f"DELETE FROM settings WHERE name IN ('{settings.ACCOUNT}', '{settings.FINGERPRINT}', '{settings.BACKED_UP}')",
)


class BackupUnusable(Exception):
    """The backup cannot be restored; the message says why and what to do. Nothing has changed."""


def file_name(now: datetime) -> str:
    """What a backup of that moment is called: in the order of the alphabet they are in the order of time."""
    return f"otpdesk-{now.astimezone(UTC):{_NAME_TIME}}.sqlite3"


def newest(folder: Path, now: datetime) -> datetime | None:
    """When the newest backup in a folder was made, by its name; None if there is none.

    One from the future is the work of a clock that was wrong: it is as good as none.
    """
    return max((made for made, _ in _made_in(folder) if made <= now), default=None)


def rotate(folder: Path, keep: int, now: datetime) -> int:
    """Delete the oldest backups, so that `keep` stay, and what killed ones left; return how many stay.

    Those from the future go first: nobody knows how old they are. Files of other names are nobody's business.

    Raises:
        OSError: one could not be deleted.
    """
    for path in folder.glob(f"otpdesk-*.sqlite3{_UNFINISHED}"):
        with contextlib.suppress(FileExistsError):
            _clear(path)
    made = sorted(_made_in(folder), key=lambda one: (one[0] <= now, one[0]))
    for _, path in made[:-keep]:
        path.unlink(missing_ok=True)
    return min(len(made), keep)


def _made_in(folder: Path) -> list[tuple[datetime, Path]]:
    found = []
    for path in folder.glob("otpdesk-*.sqlite3"):
        with contextlib.suppress(ValueError):
            made = datetime.strptime(path.stem.removeprefix("otpdesk-"), _NAME_TIME).replace(tzinfo=UTC)
            found.append((made, path))
    return sorted(found)


def back_up(database: Path, target: Path, identity: str, now: datetime) -> None:
    """Copy the database at `database`, which a running desk may hold open, to `target`, without codes and texts.

    Raises:
        DatabaseUnusable: there is no database of this desk to copy. FileExistsError: `target` is there already.
        OSError: `target` cannot be written.
    """
    if not database.exists():
        raise DatabaseUnusable(f"{database} is not there yet; the desk makes it at its first start")
    if target.exists():
        raise FileExistsError(f"{target} is there already; name another file")
    try:
        # "rw": a desk that was killed has left a journal, and only whoever may write can read past it.
        with _copied(database, "rw", identity, database) as copy:
            for statement in _WITHOUT_CODES:
                copy.execute(statement)
            settings.put(copy, settings.IDENTITY, identity)
            settings.put(copy, settings.BACKED_UP, str(_milliseconds(now)))
            settings.put(copy, settings.FINGERPRINT, _fingerprint(copy))
            target.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            _write(copy, target)
    except (ForeignDatabase, sqlite3.Error, UnicodeDecodeError) as error:
        raise DatabaseUnusable(f"{database}: {error}") from error


def restore(backup: Path, database: Path, identity: str, now: datetime) -> Path | None:
    """Put the backup in the place of the database, with orders stopped; return where the old one is kept, if any.

    Raises:
        BackupUnusable: it is damaged, not of this desk, or of a newer one. DatabaseInUse: the desk runs.
        DatabaseUnusable, OSError: the place of the database cannot be written.
    """
    if not backup.exists():
        raise BackupUnusable(f"{backup}: there is no such file")
    if database.exists() and backup.samefile(database):
        raise BackupUnusable(f"{backup} is the database itself; name a backup of it")
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(_copied(backup, "ro", identity, database))
        except (ForeignDatabase, sqlite3.Error, UnicodeDecodeError) as error:
            raise BackupUnusable(f"{backup}: {error}") from error
        stack.enter_context(contextlib.closing(lock_file(database)))
        _distrust(copy, identity, now)
        return _put_in_place(copy, database, now)


def _distrust(copy: sqlite3.Connection, identity: str, now: datetime) -> None:
    """Make of a backup the books of a desk that knows how little it knows."""
    taken = settings.get(copy, settings.BACKED_UP)
    migrate(copy)
    # A command of then may have been carried out since, and an old /resume must not open what is stopped here.
    commands = copy.execute(
        "UPDATE inbox SET state = 'done', body = '', finished_at = ? WHERE state = 'pending'", (_milliseconds(now),)
    ).rowcount
    for statement in _WITHOUT_TRUST:
        copy.execute(statement)
    settings.put(copy, settings.IDENTITY, identity)
    settings.put(copy, settings.PAUSED, RESTORED)
    settings.put(copy, settings.RESTORED, str(_milliseconds(now)))
    settings.put(copy, settings.RESTORE_NEWS, json.dumps({"taken": _in_words(taken), "commands": commands}))


def _put_in_place(copy: sqlite3.Connection, database: Path, now: datetime) -> Path | None:
    fresh = database.with_name(f"{database.name}.restoring")
    fresh.unlink(missing_ok=True)
    _write(copy, fresh)
    kept = _keep(database, now)
    # A journal that stayed behind would be played back into the new file.
    for ending in _BESIDE:
        database.with_name(database.name + ending).unlink(missing_ok=True)
    fresh.replace(database)
    _sync_folder(database.parent)
    return kept


def _keep(database: Path, now: datetime) -> Path | None:
    """Give the present database, and what belongs to it, a second name; an empty one is nothing to keep.

    It keeps its own name until the new one takes it, so that at no moment there is no database: a desk started then
    would begin with empty books.
    """
    if not database.stat().st_size:
        return None
    kept = database.with_name(f"{database.name}.before-restore-{now.astimezone(UTC):%Y%m%d-%H%M%S}")
    for ending in ("", *_BESIDE):
        present, second = database.with_name(database.name + ending), kept.with_name(kept.name + ending)
        if present.exists():
            try:
                os.link(present, second)
            except FileExistsError:
                raise
            except OSError:  # a file system without second names
                shutil.copy2(present, second)
    _sync_folder(database.parent)
    return kept


@contextlib.contextmanager
def _copied(path: Path, mode: str, identity: str, beside: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a sound database of this desk, on the disk of `beside` and under no name; the file is only read.

    Raises:
        ForeignDatabase: it is none. sqlite3.Error: it cannot be read, or there is no room for the copy.
    """
    with contextlib.closing(sqlite3.connect(_address(path, mode), uri=True, isolation_level=None)) as source:
        source.row_factory = sqlite3.Row
        _check(source, identity)
        with _nameless(source, beside) as copy:
            source.close()
            _check_sound(copy)
            yield copy


@contextlib.contextmanager
def _nameless(source: sqlite3.Connection, beside: Path) -> Iterator[sqlite3.Connection]:
    """All pages of `source` in a file that loses its name once they are there: a crash leaves nothing of it.

    They are copied in one go, so that the desk's writes wait for a moment instead of making it begin again and again.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    with _passing(beside.with_name(f"{beside.name}{_COPYING}")) as place:
        copy = sqlite3.connect(place, isolation_level=None)
        with contextlib.closing(copy):
            copy.row_factory = sqlite3.Row
            # Whatever goes wrong, the copy is thrown away: nothing of it has to survive, or to be taken back.
            copy.execute("PRAGMA synchronous = OFF")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # a copied write-ahead log would be one more file with a name
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA secure_delete = ON")
            place.unlink()
            yield copy


@contextlib.contextmanager
def _passing(path: Path) -> Iterator[Path]:
    """An empty private file that is gone afterwards, unless it got another name; what a killed process left goes first.

    Raises:
        FileExistsError: another process is at it.
    """
    descriptor = _taken(path)
    try:
        yield path
    finally:
        # The name may be another one's by now: ours was given away or deleted.
        if _is_called(descriptor, path):
            _unlink(path)
        os.close(descriptor)


def _taken(path: Path) -> int:
    """The file of that name, empty and locked; it is made if there is none.

    Raises:
        FileExistsError: another process has it.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
        try:
            _claim(descriptor, path)
            if _is_called(descriptor, path):
                _unlink_beside(path)
                os.ftruncate(descriptor, 0)
                os.fchmod(descriptor, _PRIVATE)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever had it was done with it between the two: its name is free, or somebody else's.
        os.close(descriptor)


def _clear(path: Path) -> None:
    """Delete what a killed process has left there.

    Raises:
        FileExistsError: the one that writes it lives.
    """
    with contextlib.suppress(FileNotFoundError), path.open("rb") as left:
        _claim(left.fileno(), path)
        if _is_called(left.fileno(), path):
            _unlink(path)


def _is_called(descriptor: int, path: Path) -> bool:
    """Whether that name is still this file's; while it is locked here, nobody else takes the name away."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _unlink(path: Path) -> None:
    _unlink_beside(path)
    path.unlink(missing_ok=True)


def _unlink_beside(path: Path) -> None:
    # A journal that stayed behind would be played back into the next file of that name.
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _claim(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileExistsError(f"{path} is being written by another otpdesk; wait for that one") from error


def _address(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _write(copy: sqlite3.Connection, target: Path) -> None:
    """Write a new private file that appears under its name only once it is whole, verified and on disk.

    Raises:
        OSError: it cannot be, for want of room or of a sound disk.
    """
    with _passing(target.with_name(f"{target.name}{_UNFINISHED}")) as unfinished:
        _verified(copy, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
        _sync_folder(target.parent)


def _verified(copy: sqlite3.Connection, unfinished: Path) -> None:
    try:
        # Rows that were deleted are not in it: it is written anew, page by page.
        copy.execute("VACUUM INTO ?", (str(unfinished),))
        with contextlib.closing(sqlite3.connect(_address(unfinished, "ro"), uri=True)) as written:
            written.row_factory = sqlite3.Row
            _check_sound(written)
            is_whole = _fingerprint(written) == _fingerprint(copy)
    except (ForeignDatabase, sqlite3.Error, UnicodeDecodeError) as error:
        raise OSError(f"{unfinished} cannot be written: {error}") from error
    if not is_whole:
        raise OSError(f"{unfinished} is not what was written to it; is the disk well?")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection, identity: str) -> None:
    """Whether this is a database of this very desk.

    Raises:
        ForeignDatabase: it is not. sqlite3.Error: it cannot be read.
    """
    if not check(connection):
        raise ForeignDatabase("this file is empty; name the backup that otpdesk has made")
    settings.check_identity(connection, identity)


def _check_sound(connection: sqlite3.Connection) -> None:
    """Whether every page can be read, the books agree, and no row of a backup was changed.

    Raises:
        ForeignDatabase: something is broken. sqlite3.Error: it cannot even be read.
    """
    check(connection)
    (found,) = connection.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise ForeignDatabase(f"this file is damaged ({str(found).splitlines()[-1][:100]}); take another backup")
    wrong = ledger.discrepancies(connection)
    if wrong:
        raise ForeignDatabase(f"the books in this file disagree ({wrong[0]}); take another backup")
    expected = settings.get(connection, settings.FINGERPRINT)
    if expected is not None and expected != _fingerprint(connection):
        raise ForeignDatabase("this file was changed after it was made; take another backup")


def _fingerprint(connection: sqlite3.Connection) -> str:
    """What all rows come to, apart from the one that keeps it."""
    found = hashlib.sha256()
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    for (table,) in tables:
        found.update(table.encode())
        for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid'):
            if row[0] != settings.FINGERPRINT:
                found.update(repr(tuple(row)).encode())
    return found.hexdigest()


def _milliseconds(now: datetime) -> int:
    return round(now.timestamp() * 1000)


def _in_words(taken: str | None) -> str:
    return f"{datetime.fromtimestamp(int(taken) / 1000, UTC):%Y-%m-%d %H:%M} UTC" if taken else "an unknown time"
