"""The schema, one numbered file at a time; written so that the next file needs no change here."""

import re
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from storage import migrate as module
from storage.migrate import APPLICATION_ID, ForeignDatabase, check, migrate, migrations

Schema = list[tuple[object, ...]]


def schema(connection: sqlite3.Connection) -> Schema:
    """Everything SQLite knows of the structure, spacing apart: tables, columns, indexes, foreign keys, triggers."""
    found: Schema = []
    for kind, name, table, sql in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall():
        found.append((kind, name, table, re.sub(r"\s+", " ", sql or "")))
        if kind == "table":
            for report in ("table_xinfo", "foreign_key_list", "index_list"):
                found += [(name, report, *row) for row in connection.execute(f"PRAGMA {report}({name})").fetchall()]
    return sorted(found, key=repr)


def versions(connection: sqlite3.Connection) -> tuple[int, int]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    return version, owner


def bare(path: Path | str = ":memory:") -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def use(monkeypatch: pytest.MonkeyPatch, scripts: list[str]) -> None:
    monkeypatch.setattr(module, "migrations", lambda: scripts)


def test_the_files_are_in_the_package_and_numbered_without_a_gap() -> None:
    names = sorted(
        entry.name for entry in resources.files("storage.migrations").iterdir() if entry.name.endswith("sql")
    )
    assert [int(name.split("_")[0]) for name in names] == list(range(1, len(names) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z_]+\.sql", name) for name in names)
    assert len(migrations()) == len(names)
    assert "CREATE TABLE inbox" in migrations()[0]


def test_no_file_ends_its_own_transaction() -> None:
    for script in migrations():
        outside_triggers = re.sub(r"CREATE TRIGGER.*?\bEND;", "", script, flags=re.DOTALL)
        assert not re.search(r"^\s*(BEGIN|COMMIT|END|ROLLBACK)\b", outside_triggers, flags=re.MULTILINE | re.IGNORECASE)


def test_a_fresh_file_gets_the_newest_version() -> None:
    with closing(bare()) as connection:
        assert check(connection) == 0
        assert migrate(connection) == len(migrations())
        assert versions(connection) == (len(migrations()), APPLICATION_ID)
        assert check(connection) == len(migrations())


def test_migrating_twice_changes_nothing() -> None:
    with closing(bare()) as connection:
        migrate(connection)
        before, changes = schema(connection), connection.total_changes
        assert migrate(connection) == len(migrations())
        assert (schema(connection), connection.total_changes) == (before, changes)


@pytest.mark.parametrize("start", range(len(migrations()) + 1))
def test_a_file_of_any_age_ends_up_as_a_fresh_one(start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(bare()) as fresh:
        migrate(fresh)
        expected = schema(fresh)
    everything = migrations()
    path = tmp_path / "desk.db"
    for known in range(start, len(everything) + 1):
        use(monkeypatch, everything[:known])
        with closing(bare(path)) as connection:
            assert migrate(connection) == known
    with closing(bare(path)) as connection:
        assert schema(connection) == expected


BREAKING = [
    "CREATE TABLE extra (x); INSERT INTO extra VALUES (1); CREATE TABLE extra (x);",
    "CREATE TABLE extra (x); this is no SQL;",
    "CREATE TABLE extra (x); INSERT INTO settings (name, value) VALUES ('a', 'b'), ('a', 'b');",
    "INSERT INTO settings (name, value) VALUES ('a', 'b'); DROP TABLE nothing;",
]


@pytest.mark.parametrize("script", BREAKING)
def test_a_file_that_fails_leaves_schema_and_version_as_they_were(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(bare()) as connection:
        migrate(connection)
        before, version = schema(connection), versions(connection)
        everything = migrations()
        use(monkeypatch, [*everything, script])
        with pytest.raises(sqlite3.Error):
            migrate(connection)
        assert not connection.in_transaction
        assert (schema(connection), versions(connection)) == (before, version)
        assert connection.execute("SELECT count(*) FROM settings").fetchone() == (0,)
        use(monkeypatch, [*everything, "CREATE TABLE extra (x);"])
        assert migrate(connection) == len(everything) + 1


def test_what_came_before_a_file_that_fails_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(bare()) as connection:
        use(monkeypatch, ["CREATE TABLE first (x);", "CREATE TABLE second (x); nonsense;"])
        with pytest.raises(sqlite3.Error):
            migrate(connection)
        assert versions(connection) == (1, APPLICATION_ID)
        assert [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")] == ["first"]


def test_a_file_that_somebody_else_writes_to_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    with closing(bare(path)) as other, closing(bare(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            migrate(connection)
        assert not connection.in_transaction
        other.execute("ROLLBACK")
        assert (schema(connection), versions(connection)) == ([], (0, 0))


def test_a_newer_file_is_refused_and_left_alone() -> None:
    with closing(bare()) as connection:
        migrate(connection)
        connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
        before = schema(connection)
        with pytest.raises(ForeignDatabase, match="newer otpdesk"):
            migrate(connection)
        assert schema(connection) == before


@pytest.mark.parametrize("statement", ["CREATE TABLE t (x)", "PRAGMA application_id = 1", "PRAGMA user_version = 1"])
def test_a_file_with_anything_of_another_program_in_it_is_refused(statement: str) -> None:
    with closing(bare()) as connection:
        connection.execute(statement)
        before = schema(connection), versions(connection)
        with pytest.raises(ForeignDatabase, match="another program"):
            migrate(connection)
        assert (schema(connection), versions(connection)) == before


def test_every_table_is_strict() -> None:
    with closing(bare()) as connection:
        migrate(connection)
        loose = [
            row[1]
            for row in connection.execute("PRAGMA table_list").fetchall()
            if row[2] == "table" and not row[5] and not row[1].startswith("sqlite_")
        ]
        assert loose == []
