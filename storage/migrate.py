"""Bring a database file to the newest schema, one numbered file at a time."""

import sqlite3
from importlib import resources

APPLICATION_ID = 0x0DE5C
"""Written into the file's header, so that another program's database is never touched."""


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
        ForeignDatabase: the file belongs to another program or to a newer otpdesk.
    """
    newest = len(migrations())
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
    return int(version)


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
