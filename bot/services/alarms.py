"""Troubles that last: the admins are told once when one begins, and again only if it comes back after its end."""

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bot.domain.errors import SmsError
from bot.services.desk import Desk
from storage import settings

log = logging.getLogger(__name__)

_OVER_AT: Final = 1.25
"""How far above its threshold something must be for its alarm to be over: a refund alone must not ring it again."""

_MIB: Final = 1024 * 1024


async def look_at_balance(desk: Desk) -> None:
    """Ask SMSCode for the balance and judge it; nothing is asked while requests are short, or nobody wants to know."""
    if not desk.settings.alerts.low_balance or not desk.requests.has_room:
        return
    try:
        balance = await desk.sms.balance()
    except SmsError as error:
        log.debug("the balance could not be looked at: %s", error)
        return
    await judge_balance(desk, balance)


async def judge_balance(desk: Desk, balance: int) -> None:
    """Compare a balance that was just read with `alerts.low_balance`."""
    least = desk.settings.alerts.low_balance
    if not least:
        return

    def tell(connection: sqlite3.Connection) -> None:
        desk.alert(connection, f"low_balance:{desk.now}", what="low_balance", balance=balance, price=least)

    await _ring(desk, "alarm:balance", balance, least, tell)


async def look_at_disk(desk: Desk, free: Callable[[Path], int]) -> None:
    """Compare the room on the database's disk with `alerts.low_disk`; both in MiB."""
    least = desk.settings.alerts.low_disk
    if not least:
        return
    left = free(desk.database.path) // _MIB

    def tell(connection: sqlite3.Connection) -> None:
        desk.alert(connection, f"low_disk:{desk.now}", what="low_disk", free=left)

    await _ring(desk, "alarm:disk", left, least, tell)


def free_bytes(database: Path) -> int:
    """How much may still be written beside the database."""
    return shutil.disk_usage(database.absolute().parent).free


async def _ring(desk: Desk, alarm: str, level: int, least: int, tell: Callable[[sqlite3.Connection], None]) -> None:
    """Tell of a level that has fallen below the least that is well, once until it has recovered."""
    ringing = await desk.database.read(lambda connection: settings.get(connection, alarm)) is not None

    def begin(connection: sqlite3.Connection) -> None:
        settings.put(connection, alarm, str(desk.now))
        tell(connection)

    if not ringing and level < least:
        await desk.transact(begin)
    elif ringing and level >= least * _OVER_AT:
        await desk.transact(lambda connection: settings.drop(connection, alarm))
