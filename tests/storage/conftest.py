"""Fixtures of the storage: a bare connection for what is synchronous, a `Database` for what is not."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from storage.database import Database
from tests.storage.rows import opened, running


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(opened()) as bare:
        yield bare


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with running(tmp_path / "desk.db") as desk:
        yield desk
