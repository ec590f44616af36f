"""The one connection of the process, and the only two ways to use it: `transact` and `read`.

A transaction is a plain function that gets the connection and runs inside the database's thread. Nothing can be
awaited in it, so two transactions can never interleave and no network call can ever sit inside one; and a caller that
is cancelled cannot leave half of one behind, because the function does not run in the caller.

Those that wait at the same time run one after the other and share one COMMIT, because what a commit costs is the disk's
time and not theirs. Each is undone by itself if it fails; none is answered before all of them are on disk.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Generic, Self, TypeVar, cast

import aiosqlite

from storage import settings
from storage.migrate import ForeignDatabase, check, migrate, migrations

T = TypeVar("T")
W = TypeVar("W")

_BUSY_TIMEOUT_MS: Final = 5000
_PRIVATE: Final = 0o600
_ALIVE_WITHIN: Final = 60.0

_READ_THROUGH_AT_ONCE: Final = 32 * 1024 * 1024
"""Bytes up to which the whole file is read through before it is used: less than half a second.

Of a larger one, all orders and entries are read before the first new order, when the books are compared; damage
elsewhere is noticed where it is met. `otpdesk check` and a backup read everything.
"""

_TOGETHER: Final = 64
"""Transactions that share a commit at most, so that the first of them does not wait for too many others."""

_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRIMARY_CODE: Final = 0xFF

_WAL_RESET_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""SQLite releases in which a WAL reset can no longer lose a commit (sqlite.org, "WAL-reset bug")."""


class DatabaseInUse(Exception):
    """Another process holds the file."""


class DatabaseDamaged(sqlite3.DatabaseError):
    """The file has been damaged while it was open: nothing is written any more until a backup is restored."""


class DatabaseUnusable(Exception):
    """The file cannot be opened as this desk's database; the message says what to do."""


def journal_mode_for(version: tuple[int, int, int]) -> str:
    """`WAL` where this SQLite release resets its log safely, else `TRUNCATE`."""
    older_fixes = any(version[:2] == fixed[:2] and version >= fixed for fixed in _WAL_RESET_FIXED)
    return "WAL" if older_fixes or version >= _WAL_RESET_FIXED[-1] else "TRUNCATE"


def heartbeat_of(database: Path) -> Path:
    """The file beside the database that a running desk touches."""
    return database.with_name(database.name + ".alive")


def is_alive(database: Path) -> bool:
    """Whether a desk on that database has shown a sign of life lately."""
    try:
        return time.time() - heartbeat_of(database).stat().st_mtime < _ALIVE_WITHIN
    except OSError:
        return False


def check_pages(connection: sqlite3.Connection) -> None:
    """Whether every page of the file can be read and makes sense; nothing is written.

    Raises:
        sqlite3.DatabaseError: one does not.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({str(found).splitlines()[-1][:100]})")


def look_at(path: Path, query: Callable[[sqlite3.Connection], T], identity: str = "") -> T:
    """Run `query` on the file as it is: nothing is locked for long, made, migrated or written.

    Raises:
        DatabaseUnusable: it is damaged, or no database of this desk.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            if check(connection):
                settings.check_identity(connection, identity)
                check_pages(connection)
            return query(connection)
    except (ForeignDatabase, sqlite3.Error) as error:
        raise DatabaseUnusable(f"{path}: {error}") from error


@contextlib.contextmanager
def opened_to_read(path: Path, identity: str = "") -> Iterator[sqlite3.Connection]:
    """The file as it is, beside a desk that may be running: short reads do not hold it up.

    Raises:
        DatabaseUnusable: it is no database of this desk, or of another version.
    """
    try:
        with contextlib.closing(
            # Not "ro": a desk that was killed has left a journal, and only whoever may write can read past it.
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        ) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA query_only = ON")
            _check_newest(connection)
            settings.check_identity(connection, identity)
            yield connection
    except (ForeignDatabase, sqlite3.Error) as error:
        raise DatabaseUnusable(f"{path}: {error}") from error


def _check_newest(connection: sqlite3.Connection) -> None:
    if check(connection) < len(migrations()):
        raise ForeignDatabase("its tables are older than this program; start the desk once, it brings them up")


class _Waiting(Generic[T]):
    """A transaction that waits for its turn, and what came of it; `over` is done once that is known."""

    def __init__(self, body: Callable[[sqlite3.Connection], T]) -> None:
        self._body = body
        self._result: T | None = None
        self.error: BaseException | None = RuntimeError("the transaction was never run")
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run(self, connection: sqlite3.Connection) -> None:
        """Run it within the transaction that it shares; its own failure undoes what it did and no more.

        Raises:
            BaseException: SQLite has undone everything, or the file is damaged.
        """
        connection.execute("SAVEPOINT one")
        try:
            self._result = self._body(connection)
        except BaseException as error:
            # After a full disk SQLite may have rolled back by itself, and with it what the others did.
            if not connection.in_transaction or _is_damage(error):
                raise
            self.error = error
            connection.execute("ROLLBACK TO one")
        else:
            self.error = None
        connection.execute("RELEASE one")

    def outcome(self) -> T:
        """What it returned or raised, once it is over."""
        if self.error is not None:
            raise self.error
        return cast("T", self._result)


class Database:
    """An open database file. Make one with `Database.open`; one process, one instance."""

    def __init__(self, connection: aiosqlite.Connection, lock: IO[bytes], path: Path, journal_mode: str) -> None:
        self._connection = connection
        self._lock = lock
        self.path = path
        self.journal_mode = journal_mode
        self._damage: str | None = None
        self._failed_to_write = False
        self._waiting: deque[_Waiting[Any]] = deque()
        self._committer: asyncio.Task[None] | None = None

    @property
    def is_writable(self) -> bool:
        """Whether the last transaction could be written, as far as that depends on the file and its disk."""
        return self._damage is None and not self._failed_to_write

    @classmethod
    async def open(cls, path: Path, identity: str = "") -> Self:
        """Open (or make, mode 0600) the file at `path`, lock it, set its pragmas and migrate it.

        `identity` names the desk that the file belongs to from then on; empty: nobody asks.

        Raises:
            DatabaseInUse: another process has it open.
            DatabaseUnusable: it is not ours, newer than this program, damaged, or not writable.
        """
        lock = lock_file(path)
        try:
            connection = await aiosqlite.connect(path, isolation_level=None)
        except BaseException:
            lock.close()
            raise
        try:
            wanted_mode = journal_mode_for(sqlite3.sqlite_version_info)
            journal_mode = await _in_thread(connection, _prepare, wanted_mode, identity)
        except BaseException as error:
            await connection.close()
            lock.close()
            if isinstance(error, ForeignDatabase):
                raise DatabaseUnusable(f"{path}: {error}") from error
            if isinstance(error, sqlite3.Error):
                raise DatabaseUnusable(f"{path}: {error}; {_advice(error)}") from error
            raise
        return cls(connection, lock, path, journal_mode)

    async def close(self) -> None:
        """Finish what is queued, close the file and release its lock."""
        while self._committer is not None:
            await asyncio.wait([self._committer])
        await self._connection.close()
        self._lock.close()

    async def transact(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Run `body` as a transaction and return its result once it is on disk.

        An exception in `body` undoes all that it did and reaches the caller. A cancelled caller gets its
        `CancelledError` at once, and the transaction still runs to its end: being cancelled never means "not
        committed".

        Raises:
            DatabaseDamaged: the file is damaged, now or since earlier; nothing was written.
        """
        waiting = _Waiting(body)
        self._waiting.append(waiting)
        self._commit_soon()
        await asyncio.shield(waiting.over)
        try:
            result = waiting.outcome()
        except sqlite3.OperationalError:
            self._failed_to_write = True
            raise
        self._failed_to_write = False
        return result

    def _commit_soon(self) -> None:
        if self._waiting and self._committer is None:
            self._committer = asyncio.create_task(self._commit_waiting(), name="commit")
            self._committer.add_done_callback(self._is_done)

    def _is_done(self, _: asyncio.Task[None]) -> None:
        """Also where it was cancelled before it began, as everything is when a loop comes to its end."""
        self._committer = None
        self._commit_soon()

    async def _commit_waiting(self) -> None:
        """Commit until nothing waits; whatever comes meanwhile waits for the next commit, and no longer."""
        while self._waiting:
            together = [self._waiting.popleft() for _ in range(min(len(self._waiting), _TOGETHER))]
            try:
                await _in_thread(self._connection, self._commit, together)
            except BaseException as error:  # noqa: BLE001 (a connection that is closed; whatever it is, nothing is written)
                _fail(together, error)
            for waiting in together:
                waiting.over.set_result(None)

    def _commit(self, connection: sqlite3.Connection, together: Sequence[_Waiting[Any]]) -> None:
        try:
            self._refuse_if_damaged()
            self._noticing_damage(connection, _whole_transaction, together)
        except BaseException as error:  # noqa: BLE001 (whatever it is, nobody may take it for written)
            _fail(together, error)

    def _refuse_if_damaged(self) -> None:
        if self._damage is not None:
            raise DatabaseDamaged(self._damage)

    async def shrink_journal(self) -> None:
        """Leave nothing of deleted rows in the journal; in `TRUNCATE` mode each commit does that already."""
        if self.journal_mode == "WAL":
            await _in_thread(self._connection, _truncate_log)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on a view of the data that does not change under it; a write in it is an `OperationalError`.

        Raises:
            DatabaseDamaged: what it wanted to read is damaged; other reads may still succeed.
        """
        return await _in_thread(self._connection, self._noticing_damage, _snapshot, query)

    def _noticing_damage(self, connection: sqlite3.Connection, run: Callable[[sqlite3.Connection, W], T], work: W) -> T:
        """Once damage was seen, writing would only spread it, and what is read to decide about money may be wrong."""
        try:
            return run(connection, work)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
            self._damage = str(error)
            raise DatabaseDamaged(self._damage) from error


def _fail(together: Sequence[_Waiting[Any]], error: BaseException) -> None:
    """Nothing is on disk; also whoever failed before is told so, for it may have been for what another had written."""
    for waiting in together:
        waiting.error = error


async def _in_thread(connection: aiosqlite.Connection, work: Callable[..., T], *arguments: Any) -> T:
    # aiosqlite runs single statements; running a whole function in its thread is what its own methods are made of
    # (`_execute`). A public door for it does not exist, so this is the one place that goes through the back.
    raw = connection._conn  # noqa: SLF001
    run = cast("Callable[..., Coroutine[None, None, T]]", connection._execute)  # noqa: SLF001
    future = asyncio.ensure_future(run(work, raw, *arguments))
    # Shielded, so that aiosqlite's own future is never cancelled and its result never falls on the floor.
    return await asyncio.shield(future)


def _advice(error: sqlite3.Error) -> str:
    if getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program has it open; stop that one first, Litestream too where this SQLite is too old for it"
    return "make room if the disk is full, else restore a backup or name another file in storage.path"


def _is_damage(error: BaseException) -> bool:
    # So damaged that not even SQLite's own complaint about it is text.
    if isinstance(error, UnicodeDecodeError):
        return True
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _DAMAGE


def _whole_transaction(connection: sqlite3.Connection, together: Sequence[_Waiting[Any]]) -> None:
    # What decides about money is read from the file, not from memory: damage to it must be seen before, not after.
    connection.execute("PRAGMA shrink_memory")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for waiting in together:
            waiting.run(connection)
        connection.execute("COMMIT" if any(waiting.error is None for waiting in together) else "ROLLBACK")
    except BaseException:
        # Where SQLite has rolled back by itself, a second ROLLBACK would only hide the cause.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _snapshot(connection: sqlite3.Connection, query: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("PRAGMA query_only = ON")
    try:
        connection.execute("BEGIN")
        return query(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA query_only = OFF")


def _size(connection: sqlite3.Connection) -> int:
    (pages,), (page,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return int(pages * page)


def _truncate_log(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _prepare(connection: sqlite3.Connection, wanted_mode: str, identity: str) -> str:
    """Set the connection up and return the journal mode that the file really has."""
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    # First, because a journal mode is written into the file and this one may be somebody else's.
    if check(connection):
        settings.check_identity(connection, identity)
        if _size(connection) <= _READ_THROUGH_AT_ONCE:
            check_pages(connection)
    (journal_mode,) = connection.execute(f"PRAGMA journal_mode = {wanted_mode}").fetchone()
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    migrate(connection)
    if identity and settings.get(connection, settings.IDENTITY) is None:
        settings.put(connection, settings.IDENTITY, identity)
    return str(journal_mode).upper()


def lock_file(path: Path) -> IO[bytes]:
    """Take the lock beside the file, and make the file itself private before SQLite writes a byte.

    Raises:
        DatabaseInUse: another process has it. DatabaseUnusable: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _open_private(path.with_name(path.name + ".lock"))
    except OSError as error:
        raise DatabaseUnusable(f"{path}: {error.strerror}; the folder must be writable for otpdesk") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise DatabaseInUse(f"{path} is in use by another otpdesk; stop that one first") from error
    try:
        _open_private(path).close()
    except OSError as error:
        lock.close()
        raise DatabaseUnusable(f"{path}: {error.strerror}; otpdesk must be able to write it") from error
    return lock


def _open_private(path: Path) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, _PRIVATE)
    return os.fdopen(descriptor, "r+b")
