"""Transactions that wait at the same time share a commit, and nothing else."""

import asyncio
import sqlite3
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.database import Database
from tests.storage.rows import running

Body = Callable[[sqlite3.Connection], str]


class GaveUp(Exception):
    """What a body raises that has had enough."""


def putting(name: str) -> Body:
    """A transaction that keeps a row of that name."""

    def body(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO settings (name, value) VALUES (?, '')", (name,))
        return name

    return body


def failing(name: str) -> Body:
    """One that raises after it has written."""

    def body(connection: sqlite3.Connection) -> str:
        putting(name)(connection)
        raise GaveUp(name)

    return body


def filling(name: str) -> Body:
    """One that finds the disk full; SQLite then undoes everything since BEGIN by itself."""

    def body(connection: sqlite3.Connection) -> str:
        putting(name)(connection)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        try:
            connection.execute(
                "INSERT INTO settings (name, value) VALUES (?, hex(zeroblob(500000)))", (name + " more",)
            )
        finally:
            connection.execute("PRAGMA max_page_count = 1000000")
        return name

    return body


def undoing(name: str) -> Body:
    """One whose failure undoes everything since BEGIN, as that of a disk may."""

    def body(connection: sqlite3.Connection) -> str:
        putting(name)(connection)
        connection.execute("INSERT OR ROLLBACK INTO settings (name, value) VALUES (?, '')", (name,))
        return name

    return body


def dangling(name: str) -> Body:
    """One whose fault only shows at the COMMIT."""

    def body(connection: sqlite3.Connection) -> str:
        putting(name)(connection)
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)")
        connection.execute("INSERT INTO child VALUES (1)")
        return name

    return body


@asynccontextmanager
async def held_up(desk: Database) -> AsyncIterator[None]:
    """Within this, everything that is to be written has to wait."""
    go_on = threading.Event()
    first = asyncio.create_task(desk.read(lambda _: go_on.wait(10)))
    try:
        yield
    finally:
        await asyncio.sleep(0)
        go_on.set()
        await first


async def together(desk: Database, bodies: Sequence[Body]) -> list[str | BaseException]:
    """What becomes of transactions that wait at the same time."""
    async with held_up(desk):
        tasks = [asyncio.create_task(desk.transact(body)) for body in bodies]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def kept(desk: Database) -> list[str]:
    """The names of the rows that are there."""
    return await desk.read(lambda rows: [row[0] for row in rows.execute("SELECT name FROM settings ORDER BY name")])


async def test_forty_that_wait_pay_for_one_commit(database: Database) -> None:
    said: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(said.append))
    names = [f"{number:02d}" for number in range(40)]
    assert await together(database, [putting(name) for name in names]) == names
    assert said.count("COMMIT") == 1
    assert await kept(database) == names


async def test_more_than_sixty_four_do_not_keep_the_first_waiting(database: Database) -> None:
    said: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(said.append))
    names = [f"{number:03d}" for number in range(130)]
    assert await together(database, [putting(name) for name in names]) == names
    assert said.count("COMMIT") == 3
    assert await kept(database) == names


async def test_one_that_fails_undoes_itself_and_nobody_else(database: Database) -> None:
    first, failed, last = await together(database, [putting("a"), failing("b"), putting("c")])
    assert (first, last) == ("a", "c")
    assert isinstance(failed, GaveUp)
    assert await kept(database) == ["a", "c"]


async def test_when_sqlite_undoes_everything_nobody_is_told_that_it_is_written(database: Database) -> None:
    outcomes = await together(database, [putting("a"), undoing("b"), putting("c")])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    assert await kept(database) == []
    assert await database.transact(putting("d")) == "d"


async def test_when_the_disk_is_full_for_one_it_is_full_for_all(database: Database) -> None:
    outcomes = await together(database, [putting("a"), filling("b"), putting("c")])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.OperationalError] * 3
    assert await kept(database) == []
    assert not database.is_writable
    assert await database.transact(putting("d")) == "d"
    assert database.is_writable


async def test_a_commit_that_fails_fails_all_and_everybody_hears_why(database: Database) -> None:
    """Also whoever had failed before: it may have been for what another had written."""
    outcomes = await together(database, [putting("a"), failing("b"), dangling("c")])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    assert await kept(database) == []


async def test_when_all_fail_nothing_is_committed(database: Database) -> None:
    said: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(said.append))
    outcomes = await together(database, [failing("a"), failing("b")])
    assert [type(outcome) for outcome in outcomes] == [GaveUp] * 2
    assert "COMMIT" not in said
    assert await kept(database) == []


async def test_whoever_comes_during_a_commit_waits_for_the_next_one_and_no_longer(database: Database) -> None:
    happened: list[str] = []
    await database.read(lambda connection: connection.set_trace_callback(happened.append))

    def noted(name: str) -> Body:
        def body(connection: sqlite3.Connection) -> str:
            happened.append(name)
            time.sleep(0.001)
            return putting(name)(connection)

        return body

    first = [asyncio.create_task(database.transact(noted(f"first {number}"))) for number in range(40)]
    later: list[asyncio.Task[str]] = []
    while not all(task.done() for task in first):
        await asyncio.sleep(0.002)
        later.append(asyncio.create_task(database.transact(noted(f"later {len(later)}"))))
    await asyncio.gather(*first, *later)
    last = max(place for place, what in enumerate(happened) if what.startswith("first"))
    assert happened[:last].count("COMMIT") <= 1


async def test_closing_finishes_what_waits_and_refuses_what_comes_later(tmp_path: Path) -> None:
    desk = await Database.open(tmp_path / "desk.sqlite3")
    waiting = [asyncio.create_task(desk.transact(putting(name))) for name in ("a", "b")]
    await asyncio.sleep(0)
    await desk.close()
    assert await asyncio.gather(*waiting) == ["a", "b"]
    with pytest.raises(Exception, match=r"closed|active"):
        await desk.transact(putting("c"))
    async with running(tmp_path / "desk.sqlite3") as again:
        assert await kept(again) == ["a", "b"]


async def test_whoever_is_cancelled_while_waiting_is_written_with_the_others(database: Database) -> None:
    async with held_up(database):
        tasks = [asyncio.create_task(database.transact(putting(name))) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == ("a", "c")
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert await kept(database) == ["a", "b", "c"]


KINDS = {"puts": putting, "fails": failing, "fills": filling, "undoes": undoing, "dangles": dangling}


@settings(max_examples=60)
@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=12))
def test_what_is_answered_is_there_and_what_failed_is_not(kinds: list[str]) -> None:
    async def run(folder: Path) -> None:
        async with running(folder / "desk.sqlite3") as desk:
            bodies = [KINDS[kind](f"{number:02d}") for number, kind in enumerate(kinds)]
            outcomes = await together(desk, bodies)
            assert [outcome for outcome in outcomes if isinstance(outcome, str)] == await kept(desk)
            for kind, outcome in zip(kinds, outcomes, strict=True):
                assert kind == "puts" or isinstance(outcome, Exception)
            assert await desk.transact(putting("afterwards")) == "afterwards"

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.mark.parametrize("seed", range(3))
async def test_with_reads_between_them_everybody_sees_what_was_answered(database: Database, seed: int) -> None:
    async def write_and_look(name: str) -> bool:
        await asyncio.sleep((hash((seed, name)) % 7) / 1000)
        await database.transact(putting(name))
        return name in await kept(database)

    assert all(await asyncio.gather(*(write_and_look(f"{number}") for number in range(30))))


async def test_whoever_commits_may_be_stopped_before_they_began(database: Database) -> None:
    waits = asyncio.create_task(database.transact(putting("waits")))
    await asyncio.sleep(0)
    (committer,) = [task for task in asyncio.all_tasks() if task.get_name() == "commit"]
    committer.cancel()
    async with asyncio.timeout(10):
        assert await waits == "waits"
        assert await database.transact(putting("later")) == "later"
        await database.close()
