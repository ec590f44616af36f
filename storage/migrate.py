"""Bring a database file to the newest schema, one numbered file at a time."""

import contextlib
import sqlite3
from functools import cache
from importlib import resources

APPLICATION_ID = 0x0DE5C
"""Written into the file's header, so that another program's database is never touched."""

_PARTS = "SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"


class ForeignDatabase(Exception):
    """The file is a database, but not one of this desk's; the message says what to do."""


def migrations() -> list[str]:
    """The SQL of every migration, the first one first."""
    folder = resources.files("storage.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]


def migrate(connection: sqlite3.Connection) -> int:
    """Apply what is missing, each migration with its version in one transaction; return the version.

    Raises:
        ForeignDatabase: the file belongs to another program or to a newer otpdesk. It is left untouched.
    """
    version = check(connection)
    scripts = migrations()
    for number, script in enumerate(scripts[version:], start=version + 1):
        _apply(connection, number, script)
    return len(scripts)


def check(connection: sqlite3.Connection) -> int:
    """The schema version the file has now, 0 for an empty one; nothing is written.

    Raises:
        ForeignDatabase: the file belongs to another program or to a newer otpdesk, or is half migrated.
    """
    try:
        return _version(connection)
    except UnicodeDecodeError as error:
        # So damaged that not even SQLite's own complaint about it is text.
        raise ForeignDatabase("this file is damaged; restore a backup or name another file") from error


def _version(connection: sqlite3.Connection) -> int:
    scripts = migrations()
    newest = len(scripts)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if owner != APPLICATION_ID and (owner or version or tables):
        raise ForeignDatabase("this file is a database of another program; name another file in storage.path")
    if version > newest:
        raise ForeignDatabase(
            f"this file was written by a newer otpdesk (schema {version}, this one knows {newest}); "
            "install that version, or restore a backup made before the upgrade"
        )
    if version:
        _check_structure(connection, scripts, version)
    return int(version)


def _check_structure(connection: sqlite3.Connection, scripts: list[str], version: int) -> None:
    """Refuse what a migration or a copy that broke off leaves; what somebody has added is theirs."""
    found, expected = _structure(connection), _structure_after(tuple(scripts[:version]))
    later = _structure_after(tuple(scripts)) - expected
    if expected - found or later & found:
        trouble = "something of that is missing" if expected - found else "something of a later one is in it already"
        raise ForeignDatabase(f"this file says that it has schema {version}, but {trouble}; restore a backup")


@cache
def _structure_after(scripts: tuple[str, ...]) -> frozenset[tuple[str, str, str]]:
    """What a database consists of once these migrations were applied."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        for number, script in enumerate(scripts, start=1):
            _apply(fresh, number, script)
        return _structure(fresh)


def _structure(connection: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    """Every table, index, trigger and column by name: what a migration that broke off would lack."""
    parts = {(str(kind), str(name), str(table)) for kind, name, table in connection.execute(_PARTS)}
    tables = [name for kind, name, _ in parts if kind == "table"]
    columns = {
        ("column", table, str(column))
        for table in tables
        for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    }
    return frozenset(parts | columns)


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n"
            f"PRAGMA user_version = {number};\nPRAGMA application_id = {APPLICATION_ID};\nCOMMIT;"
        )
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
