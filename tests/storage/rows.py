"""The least that the storage needs to have rows to work on."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

from bot.domain.access import Role
from bot.domain.limits import Calendar, LimitName, Window, calendar_at
from bot.domain.orders import RemoteOrder, RemoteStatus
from storage import ledger, members, orders
from storage.database import Database
from storage.migrate import migrate

ANA: Final = 11
BEN: Final = 22
GROUP: Final = -100
NOW: Final = 1_773_489_600_000
"""2026-03-14 12:00 UTC, in unix milliseconds."""
TODAY: Final = Window("2026-03-14", "2026-03")

NO_CAPS: Final[Mapping[LimitName, int]] = dict.fromkeys(LimitName, 10**9)

_numbers = count(1)


def opened(path: Path | str = ":memory:") -> sqlite3.Connection:
    """A connection as the desk's own is, with the newest schema and two operators."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    if path == ":memory:":
        connection.deserialize(_fresh())
    else:
        _fill(connection)
    return connection


@cache
def _fresh() -> bytes:
    """A database with the newest schema and two operators: to copy it is quicker than to make it for each test."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _fill(connection)
        return connection.serialize()


def _fill(connection: sqlite3.Connection) -> None:
    migrate(connection)
    members.allow(connection, ANA, "Ana", Role.OPERATOR, ANA, NOW)
    members.allow(connection, BEN, "Ben", Role.OPERATOR, ANA, NOW)


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Database]:
    """An open database that is closed even when a test fails: its thread would keep the process alive."""
    desk = await Database.open(path)
    try:
        yield desk
    finally:
        await desk.close()


@contextmanager
def undone_if_refused(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction as callers make it: whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def noon(day: str) -> Calendar:
    """The calendar of a day of UTC."""
    return calendar_at(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC), UTC)


def request(member_id: int = ANA, key: str | None = None) -> orders.Request:
    return orders.Request(
        command_key=key or f"command-{next(_numbers)}",
        member_id=member_id,
        chat_id=GROUP,
        thread_id=7,
        platform="whatsapp",
        countries="indonesia\nus",
        max_price=5000,
        note="test run 12",
    )


def intent(price: int = 1000, attempt: int = 1, key: str | None = None) -> orders.Intent:
    return orders.Intent(attempt, "indonesia", "WhatsApp ID", price, key or f"request-{next(_numbers)}", '{"id": 1}')


def reserved(connection: sqlite3.Connection, price: int = 1000, member_id: int = ANA, window: Window = TODAY) -> int:
    """A new order, which holds nothing yet."""
    return orders.insert(connection, request(member_id), window, intent(price), NOW)


def sent(connection: sqlite3.Connection, price: int = 1000, member_id: int = ANA) -> int:
    """An order whose request has left, with its hold."""
    order_id = reserved(connection, price, member_id)
    ledger.hold(connection, order_id, price, NO_CAPS, noon(TODAY.day), NOW)
    orders.mark_sent(connection, order_id, 50_000, NOW + 1)
    return order_id


def waiting(connection: sqlite3.Connection, price: int = 1000, member_id: int = ANA) -> int:
    """An order whose number is rented and paid."""
    order_id = sent(connection, price, member_id)
    ledger.settle(connection, order_id, price, NOW + 2)
    orders.mark_placed(connection, order_id, remote(f"remote-{order_id}"), NOW + 2)
    return order_id


def remote(remote_id: str, status: RemoteStatus = RemoteStatus.WAITING) -> RemoteOrder:
    return RemoteOrder(
        remote_id=remote_id,
        raw_status=status,
        status=status,
        phone_number="+628123456789",
        expires_at=datetime(2026, 3, 14, 12, 20, tzinfo=UTC),
    )
