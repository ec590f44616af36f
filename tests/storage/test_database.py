"""Opening the one file, and the only two ways to use it."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from storage import database as module
from storage.database import Database, DatabaseInUse, DatabaseUnusable, heartbeat_of, journal_mode_for, look_at
from storage.migrate import APPLICATION_ID, migrations
from tests.storage.rows import running

NOBODY = 65534


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put(connection: sqlite3.Connection, name: str, value: str = "x") -> None:
    connection.execute("INSERT INTO settings (name, value) VALUES (?, ?)", (name, value))


def names(connection: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in connection.execute("SELECT name FROM settings ORDER BY name")]


def pragma(connection: sqlite3.Connection, name: str) -> int | str:
    value: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


async def open_and_close(path: Path) -> None:
    async with running(path):
        pass


# Opening


async def test_a_new_file_and_its_lock_are_private_and_their_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "desk.db"
    async with running(path) as desk:
        await desk.transact(lambda connection: put(connection, "a"))
        assert {entry.name: oct(mode_of(entry)) for entry in path.parent.iterdir()} == dict.fromkeys(
            (entry.name for entry in path.parent.iterdir()), oct(0o600)
        )
        assert {"desk.db", "desk.db.lock"} <= {entry.name for entry in path.parent.iterdir()}


async def test_a_file_that_others_could_read_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    await open_and_close(path)
    path.chmod(0o644)
    await open_and_close(path)
    assert mode_of(path) == 0o600


async def test_a_second_opening_in_the_same_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with running(path) as desk:
        before = path.read_bytes()
        with pytest.raises(DatabaseInUse, match="stop that one first"):
            await open_and_close(path)
        assert path.read_bytes() == before
        await desk.transact(lambda connection: put(connection, "still mine"))


OPENER = """
import asyncio, sys
from pathlib import Path
from storage.database import Database, DatabaseInUse

async def open_and_close():
    await (await Database.open(Path(sys.argv[1]))).close()

try:
    asyncio.run(open_and_close())
except DatabaseInUse as error:
    print(error)
    raise SystemExit(7)
"""


async def test_a_second_process_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with running(path):
        before = path.read_bytes()
        other = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", OPENER, str(path)], capture_output=True, text=True, check=False
        )
        assert (other.returncode, "in use by another otpdesk" in other.stdout) == (7, True), other.stderr
        assert path.read_bytes() == before


async def test_a_closed_file_may_be_opened_again_and_has_kept_everything(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    for name in ("a", "b"):
        async with running(path) as desk:
            await desk.transact(partial(put, name=name))
    async with running(path) as desk:
        assert await desk.read(names) == ["a", "b"]


async def test_the_pragmas_are_really_set(database: Database) -> None:
    wanted = journal_mode_for(sqlite3.sqlite_version_info)
    found = await database.read(
        lambda connection: {
            name: pragma(connection, name)
            for name in ("synchronous", "foreign_keys", "secure_delete", "busy_timeout", "journal_mode")
        }
    )
    assert found == {
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 5000,
        "journal_mode": wanted.lower(),
    }
    assert database.journal_mode == wanted


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.transact(
            lambda connection: connection.execute("INSERT INTO sms (order_id, revision, seen_at) VALUES (99, 1, 1)")
        )


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 44, 5), "TRUNCATE"),
        ((3, 44, 6), "WAL"),
        ((3, 44, 9), "WAL"),
        ((3, 45, 0), "TRUNCATE"),
        ((3, 50, 6), "TRUNCATE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 0), "TRUNCATE"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_a_log_is_written_ahead_only_where_its_reset_is_safe(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode_for(version) == mode


async def test_the_log_of_deleted_rows_is_emptied_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "journal_mode_for", lambda _: "WAL")
    path = tmp_path / "desk.db"
    async with running(path) as desk:
        assert desk.journal_mode == "WAL"
        await desk.transact(lambda connection: put(connection, "a", "SECRET-12345"))
        await desk.transact(lambda connection: connection.execute("DELETE FROM settings"))
        log = path.with_name(path.name + "-wal")
        assert b"SECRET-12345" in log.read_bytes()
        await desk.shrink_journal()
        assert b"SECRET-12345" not in path.read_bytes() + log.read_bytes()


async def test_without_a_log_each_commit_empties_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "journal_mode_for", lambda _: "TRUNCATE")
    path = tmp_path / "desk.db"
    async with running(path) as desk:
        await desk.transact(lambda connection: put(connection, "a", "SECRET-12345"))
        await desk.transact(lambda connection: connection.execute("DELETE FROM settings"))
        await desk.shrink_journal()
        assert path.with_name(path.name + "-journal").read_bytes() == b""
        assert b"SECRET-12345" not in path.read_bytes()


def test_the_heartbeat_is_beside_the_file_and_is_neither_it_nor_its_lock() -> None:
    assert heartbeat_of(Path("/data/desk.db")) == Path("/data/desk.db.alive")


# Files that are not ours to open


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def a_rollback_database(path: Path) -> None:
    foreign(path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def a_log_database(path: Path) -> None:
    foreign(path, "PRAGMA journal_mode = WAL", "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def an_empty_one_with_another_owner(path: Path) -> None:
    foreign(path, "PRAGMA application_id = 4711")


def an_empty_one_with_a_version(path: Path) -> None:
    foreign(path, "PRAGMA user_version = 1")


def a_newer_one(path: Path) -> None:
    newer = len(migrations()) + 1
    foreign(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {newer}", "CREATE TABLE t (x)")


def garbage(path: Path) -> None:
    path.write_bytes(b"This is a text and no database at all.\n" * 200)


def a_truncated_one(path: Path) -> None:
    asyncio.run(open_and_close(path))
    path.write_bytes(path.read_bytes()[:-5000])


def a_beheaded_one(path: Path) -> None:
    asyncio.run(open_and_close(path))
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("wanted_mode", ["TRUNCATE", "WAL"])
@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (a_rollback_database, "another program.*name another file in storage.path"),
        (a_log_database, "another program.*name another file in storage.path"),
        (an_empty_one_with_another_owner, "another program.*name another file in storage.path"),
        (an_empty_one_with_a_version, "another program.*name another file in storage.path"),
        (a_newer_one, r"newer otpdesk \(schema \d+, this one knows \d+\); install that version, or restore a backup"),
        (garbage, "not a database.*restore a backup or name another file"),
        (a_truncated_one, "malformed.*restore a backup or name another file"),
        (a_beheaded_one, "(malformed|not a database).*restore a backup or name another file"),
    ],
)
def test_what_is_not_ours_is_refused_with_advice_and_untouched(
    make: Callable[[Path], None], advice: str, wanted_mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "desk.db"
    make(path)
    before, beside = path.read_bytes(), set(tmp_path.iterdir())
    monkeypatch.setattr(module, "journal_mode_for", lambda _: wanted_mode)
    with pytest.raises(DatabaseUnusable, match=advice) as refused:
        asyncio.run(open_and_close(path))
    assert str(path) in str(refused.value)
    assert path.read_bytes() == before
    assert set(tmp_path.iterdir()) == beside | {tmp_path / "desk.db.lock"}


def test_a_refused_file_is_let_go(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    garbage(path)
    for _ in range(2):
        with pytest.raises(DatabaseUnusable):
            asyncio.run(open_and_close(path))
    path.unlink()
    asyncio.run(open_and_close(path))


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatabaseUnusable, match="folder must be writable"):
        await open_and_close(tmp_path / "file" / "desk.db")


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "desk.db").mkdir()
    with pytest.raises(DatabaseUnusable, match="must be able to write it"):
        await open_and_close(tmp_path / "desk.db")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Permissions bind everybody but root; tests in a container often are root."""
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)


def test_an_unwritable_folder_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with unprivileged(), pytest.raises(DatabaseUnusable, match="Permission denied; the folder must be writable"):
            asyncio.run(open_and_close(folder / "desk.db"))
        assert list(folder.iterdir()) == []
        folder.chmod(0o755)


def test_an_unwritable_file_is_refused_and_untouched() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "desk.db"
        path.write_bytes(b"")
        path.chmod(0o444)
        path.parent.chmod(0o777)
        with unprivileged(), pytest.raises(DatabaseUnusable, match="must be able to write it"):
            asyncio.run(open_and_close(path))
        assert (path.read_bytes(), mode_of(path)) == (b"", 0o444)


async def test_any_other_failure_of_an_opening_stays_itself_and_lets_the_file_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "migrate", lambda _: bytes(2**62))
        with pytest.raises(MemoryError):
            await open_and_close(tmp_path / "desk.db")
    await open_and_close(tmp_path / "desk.db")


# Looking at it from outside


async def test_a_look_from_outside_sees_what_is_committed_while_the_desk_runs(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with running(path) as desk:
        await desk.transact(lambda connection: put(connection, "a"))
        assert await asyncio.to_thread(look_at, path, names) == ["a"]
        await desk.transact(lambda connection: put(connection, "b"))


def test_a_look_from_outside_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    asyncio.run(open_and_close(path))
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable, match="readonly"):
        look_at(path, lambda connection: put(connection, "a"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [a_rollback_database, a_newer_one, garbage])
def test_a_look_from_outside_refuses_what_is_not_ours(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(DatabaseUnusable, match=path.name):
        look_at(path, names)
    assert path.read_bytes() == before


def test_a_look_from_outside_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable, match="unable to open"):
        look_at(tmp_path / "desk.db", names)
    assert list(tmp_path.iterdir()) == []


# Using it


async def test_a_transaction_returns_what_its_body_returns(database: Database) -> None:
    def body(connection: sqlite3.Connection) -> int:
        put(connection, "a")
        return 42

    assert await database.transact(body) == 42
    assert await database.read(names) == ["a"]


class Broken(BaseException):
    """Not even an `Exception`: nothing may leave half of a transaction behind."""


@pytest.mark.parametrize("kind", [ValueError, sqlite3.OperationalError, Broken])
async def test_a_body_that_raises_rolls_everything_back(database: Database, kind: type[BaseException]) -> None:
    def body(connection: sqlite3.Connection) -> None:
        put(connection, "a")
        put(connection, "b")
        raise kind("no")

    with pytest.raises(kind, match="no"):
        await database.transact(body)
    assert await database.read(names) == []
    await database.transact(lambda connection: put(connection, "c"))
    assert await database.read(names) == ["c"]


async def test_a_commit_that_fails_rolls_everything_back(database: Database) -> None:
    def body(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        put(connection, "a")
        connection.execute("INSERT INTO sms (order_id, revision, seen_at) VALUES (99, 1, 1)")

    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await database.transact(body)
    assert await database.read(names) == []


async def test_when_sqlite_has_rolled_back_by_itself_the_cause_reaches_the_caller(database: Database) -> None:
    def body(connection: sqlite3.Connection) -> None:
        put(connection, "a")
        connection.execute("INSERT OR ROLLBACK INTO settings (name, value) VALUES ('a', 'again')")

    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await database.transact(body)
    assert await database.read(names) == []


async def test_a_write_in_a_read_is_refused_and_the_next_transaction_may_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.read(lambda connection: put(connection, "a"))
    await database.transact(lambda connection: put(connection, "b"))
    assert await database.read(names) == ["b"]


async def test_a_read_that_ends_its_own_transaction_still_cannot_write(database: Database) -> None:
    def query(connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")
        put(connection, "a")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.read(query)
    assert await database.read(names) == []


async def test_a_read_that_raises_leaves_nothing_open(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await database.read(lambda _: 1 // 0)
    assert await database.transact(names) == []


async def test_a_closed_database_refuses_plainly(tmp_path: Path) -> None:
    async with running(tmp_path / "desk.db") as desk:
        pass
    with pytest.raises(ValueError, match="no active connection"):
        await desk.read(names)


async def test_an_opening_that_is_cancelled_lets_the_lock_go(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    for steps in range(6):
        opening = asyncio.create_task(Database.open(path))
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        outcome = (await asyncio.gather(opening, return_exceptions=True))[0]
        if isinstance(outcome, Database):
            await outcome.close()
    async with running(path) as desk:
        assert await desk.read(names) == []


async def test_a_file_that_another_program_has_open_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUSY_TIMEOUT_MS", 10)
    path = tmp_path / "desk.db"
    async with running(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseUnusable, match="locked; another program has it open; stop that one first"):
            await Database.open(path)
