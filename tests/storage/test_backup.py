"""Backups: whole, private, without codes; and a way back that touches nothing it should not."""

import asyncio
import fcntl
import multiprocessing
import os
import re
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bot.domain.notices import Notice, NoticeKind
from storage import ledger, outbox, settings
from storage.backup import RESTORED, BackupUnusable, back_up, file_name, restore, rotate
from storage.database import Database, DatabaseInUse, DatabaseUnusable
from storage.migrate import migrations
from tests.storage import rows
from tests.storage.test_database import a_newer_one, a_rollback_database, garbage

NOW = datetime(2026, 3, 14, 5, 0, tzinfo=UTC)
IDENTITY = "7100000001"


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """The books of a desk, with a member in them."""
    path = tmp_path / "desk.db"

    async def fill() -> None:
        database = await Database.open(path, IDENTITY)
        await database.transact(lambda connection: settings.put(connection, "fact", "kept"))
        await database.close()

    asyncio.run(fill())
    return path


def facts(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT name, value FROM settings").fetchall())


def test_there_and_back_again(books: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backups" / "one.sqlite3"
    back_up(books, backup, IDENTITY, NOW)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(books)) as connection, connection:
        connection.execute("UPDATE settings SET value = 'changed' WHERE name = 'fact'")
    kept = restore(backup, books, IDENTITY, NOW)
    assert facts(books) == {
        "fact": "kept",
        "identity": IDENTITY,
        "paused": RESTORED,
        "restored": str(round(NOW.timestamp() * 1000)),
        "restore_news": '{"taken": "2026-03-14 05:00 UTC", "commands": 0}',
    }
    assert kept is not None
    assert facts(kept)["fact"] == "changed"
    assert stat.S_IMODE(books.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["backups", "desk.db", "desk.db.lock", kept.name])


def test_a_backup_goes_to_an_empty_place_too(books: Path, tmp_path: Path) -> None:
    backup = tmp_path / "one.sqlite3"
    back_up(books, backup, IDENTITY, NOW)
    assert restore(backup, tmp_path / "elsewhere" / "desk.db", IDENTITY, NOW) is None
    assert facts(tmp_path / "elsewhere" / "desk.db")["fact"] == "kept"


async def test_it_is_made_beside_a_running_desk(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "desk.db", IDENTITY)
    try:
        for number in range(20):
            await database.transact(partial(settings.put, name=f"fact{number}", value="kept"))
            await asyncio.to_thread(back_up, database.path, tmp_path / f"{number}.sqlite3", IDENTITY, NOW)
            assert f"fact{number}" in facts(tmp_path / f"{number}.sqlite3")
    finally:
        await database.close()


async def test_nothing_is_restored_under_a_running_desk(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "desk.db", IDENTITY)
    try:
        back_up(database.path, tmp_path / "one.sqlite3", IDENTITY, NOW)
        before = database.path.read_bytes()
        with pytest.raises(DatabaseInUse):
            restore(tmp_path / "one.sqlite3", database.path, IDENTITY, NOW)
        assert database.path.read_bytes() == before
    finally:
        await database.close()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


def scribbled_over(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(3 * 4096, len(content), 997):
        content[place] ^= 0xFF
    path.write_bytes(content)


def half_migrated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("ALTER TABLE orders DROP COLUMN operator")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def of_another_program(path: Path) -> None:
    path.unlink()
    a_rollback_database(path)


def of_a_newer_desk(path: Path) -> None:
    path.unlink()
    a_newer_one(path)


def of_another_desk(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE settings SET value = '42' WHERE name = 'identity'")


def changed_by_hand(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE settings SET value = 'changed' WHERE name = 'fact'")


def with_books_that_disagree(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO budget (owner, period, cap, reserved) VALUES (7, '2026-03-14', 9, 5)")


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (cut_short, "malformed|damaged|disk image"),
        (scribbled_over, "malformed|damaged|disagree|disk image|missing"),
        (half_migrated, "something of that is missing; restore a backup"),
        (empty, "this file is empty"),
        (gone, "there is no such file"),
        (garbage, "not a database"),
        (of_another_program, "another program"),
        (of_a_newer_desk, "newer otpdesk"),
        (of_another_desk, "another desk"),
        (with_books_that_disagree, "books in this file disagree"),
        (changed_by_hand, "changed after it was made; take another backup"),
    ],
)
def test_what_cannot_be_trusted_is_not_restored(
    books: Path, tmp_path: Path, spoil: Callable[[Path], None], advice: str
) -> None:
    backup = tmp_path / "one.sqlite3"
    back_up(books, backup, IDENTITY, NOW)
    spoil(backup)
    spoiled = backup.read_bytes() if backup.exists() else None
    before, beside = books.read_bytes(), sorted(tmp_path.iterdir())
    with pytest.raises(BackupUnusable, match=advice):
        restore(backup, books, IDENTITY, NOW)
    assert books.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == beside
    assert (backup.read_bytes() if backup.exists() else None) == spoiled


def test_a_database_of_another_desk_is_refused_and_untouched(books: Path) -> None:
    before = books.read_bytes()
    with pytest.raises(DatabaseUnusable, match=r"another desk \(bot 7100000001, this one is 99\).*storage\.path"):
        asyncio.run(Database.open(books, "99"))
    assert books.read_bytes() == before


def test_a_half_migrated_database_is_refused_and_untouched(books: Path) -> None:
    half_migrated(books)
    before = books.read_bytes()
    with pytest.raises(DatabaseUnusable, match=f"schema {len(migrations())}, but something of that is missing"):
        asyncio.run(Database.open(books, IDENTITY))
    assert books.read_bytes() == before


def test_books_of_no_desk_yet_become_this_ones(tmp_path: Path) -> None:
    async def open_twice() -> None:
        for identity in ("", IDENTITY):
            await (await Database.open(tmp_path / "desk.db", identity)).close()

    asyncio.run(open_twice())
    assert facts(tmp_path / "desk.db") == {"identity": IDENTITY}


def test_a_backup_never_overwrites_anything(books: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    with pytest.raises(FileExistsError, match="name another file"):
        back_up(books, target, IDENTITY, NOW)
    assert target.read_text() == "precious"


def test_of_nothing_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable):
        back_up(tmp_path / "desk.db", tmp_path / "one.sqlite3", IDENTITY, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_cannot_be_finished_leaves_nothing_behind(books: Path, tmp_path: Path) -> None:
    with_books_that_disagree(books)
    beside = sorted(tmp_path.iterdir())
    with pytest.raises(DatabaseUnusable, match="disagree"):
        back_up(books, tmp_path / "one.sqlite3", IDENTITY, NOW)
    assert sorted(tmp_path.iterdir()) == beside


def test_the_restored_books_agree(books: Path, tmp_path: Path) -> None:
    back_up(books, tmp_path / "one.sqlite3", IDENTITY, NOW)
    restore(tmp_path / "one.sqlite3", books, IDENTITY, NOW)
    with closing(sqlite3.connect(books)) as connection:
        connection.row_factory = sqlite3.Row
        assert ledger.discrepancies(connection) == []
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not os.access(books.with_name("desk.db.restoring"), os.F_OK)


def test_a_database_is_no_backup_of_itself(books: Path) -> None:
    before = books.read_bytes()
    with pytest.raises(BackupUnusable, match="is the database itself"):
        restore(books, books, IDENTITY, NOW)
    assert books.read_bytes() == before


def test_what_was_on_its_way_is_believed_no_more(tmp_path: Path) -> None:
    desk, backup = tmp_path / "desk.db", tmp_path / "one.sqlite3"
    with closing(rows.opened(desk)) as connection:
        settings.put(connection, settings.IDENTITY, IDENTITY)
        unclear, live = rows.sent(connection), rows.waiting(connection)
        letter = Notice(NoticeKind.CARD, rows.GROUP, "card", order_id=live)
        outbox.put(connection, letter, rows.NOW)
        said = Notice(NoticeKind.TEXT, rows.GROUP, "text", facts={"text": "your code 4711"})
        outbox.put(connection, said, rows.NOW)
        connection.execute(
            "INSERT INTO inbox VALUES (1, 11, 11, 5, NULL, '{\"code\": \"4711\"}', 'pending', 0, NULL, NULL)"
        )
    back_up(desk, backup, IDENTITY, NOW)
    assert b"4711" not in backup.read_bytes()
    restore(backup, desk, IDENTITY, NOW)
    with closing(rows.opened(desk)) as connection:
        states = dict(connection.execute("SELECT id, state || needs_admin FROM orders").fetchall())
        letters = connection.execute("SELECT kind, repeated FROM outbox").fetchall()
        commands = connection.execute("SELECT state, body FROM inbox").fetchall()
    assert states == {unclear: "unknown1", live: "waiting0"}
    assert [tuple(row) for row in letters] == [("card", 1)]
    assert [tuple(row) for row in commands] == [("done", "")]
    assert facts(desk)["restore_news"].endswith('"commands": 1}')


def test_what_a_killed_backup_left_is_cleared_away_and_none_is_disturbed(books: Path, tmp_path: Path) -> None:
    copying, unfinished = tmp_path / "desk.db.copying", tmp_path / "one.sqlite3.unfinished"
    before = sorted(tmp_path.iterdir())
    copying.write_bytes(b"a code: 4711")
    unfinished.write_bytes(b"half a copy")
    with copying.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another otpdesk"):
            back_up(books, tmp_path / "one.sqlite3", IDENTITY, NOW)
        assert copying.read_bytes() == b"a code: 4711"
    back_up(books, tmp_path / "one.sqlite3", IDENTITY, NOW)
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "one.sqlite3"]


def test_the_rotation_takes_what_killed_backups_left_and_nothing_that_is_written_now(tmp_path: Path) -> None:
    left, written = (tmp_path / f"{file_name(NOW + timedelta(days=day))}.unfinished" for day in (0, 1))
    left.write_bytes(b"half a copy")
    written.write_bytes(b"half a copy so far")
    with written.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert rotate(tmp_path, keep=1, now=NOW) == 0
    assert list(tmp_path.iterdir()) == [written]


def test_two_backups_at_once_do_not_take_each_others_files_away(books: Path, tmp_path: Path) -> None:
    fill(books, 2000)
    with FORKS.Pool(3) as pool:
        made = [pool.apply_async(_made_or_refused, (books, tmp_path / f"{number}.sqlite3"), {}) for number in range(12)]
        outcomes = [outcome.get(30) for outcome in made]
    assert set(outcomes) <= {"made", "another otpdesk"}
    assert "made" in outcomes
    assert [path for path in tmp_path.iterdir() if path.suffix in {".copying", ".unfinished"}] == []


def _made_or_refused(books: Path, target: Path) -> str:
    try:
        back_up(books, target, IDENTITY, NOW)
    except FileExistsError as error:
        return "another otpdesk" if "another otpdesk" in str(error) else str(error)
    return "made"


@pytest.mark.parametrize("mode", ["WAL", "TRUNCATE"])
def test_either_journal_is_copied_and_leaves_nothing_beside(books: Path, tmp_path: Path, mode: str) -> None:
    with closing(sqlite3.connect(books)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("UPDATE settings SET value = 'newer' WHERE name = 'fact'")
        connection.commit()
        before = sorted(tmp_path.iterdir())
        back_up(books, tmp_path / "one.sqlite3", IDENTITY, NOW)
        assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "one.sqlite3"])
    assert facts(tmp_path / "one.sqlite3")["fact"] == "newer"


def test_a_backup_killed_at_any_moment_leaves_no_file_that_stays(books: Path, tmp_path: Path) -> None:
    fill(books, 2000)
    for number in range(20):
        backing = FORKS.Process(target=back_up, args=(books, tmp_path / "copies" / "one.sqlite3", IDENTITY, NOW))
        backing.start()
        backing.join(0.04 * number)
        backing.kill()
        backing.join()
        (tmp_path / "copies" / "one.sqlite3").unlink(missing_ok=True)
    back_up(books, tmp_path / "copies" / "one.sqlite3", IDENTITY, NOW)
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["one.sqlite3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies", "desk.db", "desk.db.lock"]


@pytest.mark.timeout(180)
def test_the_memory_of_a_backup_and_of_its_restore_does_not_grow_with_the_file(books: Path, tmp_path: Path) -> None:
    fill(books, 60_000)
    assert books.stat().st_size > 60_000_000
    backup, elsewhere = tmp_path / "one.sqlite3", tmp_path / "elsewhere.db"
    assert growth(back_up, books, backup, IDENTITY, NOW) < 25_000
    assert backup.stat().st_size > 60_000_000
    assert growth(restore, backup, elsewhere, IDENTITY, NOW) < 25_000


FORKS = multiprocessing.get_context("forkserver")


def fill(books: Path, lines: int) -> None:
    """Let the file grow by about a kilobyte a line."""
    with closing(sqlite3.connect(books)) as connection, connection:
        connection.execute(
            "INSERT INTO audit (at, actor_id, action, detail)"
            " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " SELECT i, 1, 'test.line', json_object('text', hex(randomblob(512))) FROM n",
            (lines,),
        )


def growth(work: Callable[..., object], *arguments: object) -> int:
    """KiB by which a process of its own becomes larger while it does that work."""
    with FORKS.Pool(1) as pool:
        return pool.apply(_measured, (work, arguments))


def _measured(work: Callable[..., object], arguments: tuple[object, ...]) -> int:
    # What was needed to get so far does not count.
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = _largest()
    work(*arguments)
    return _largest() - before


def _largest() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1])
