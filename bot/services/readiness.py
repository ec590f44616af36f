"""Whether the desk can do its work now, and which part of it cannot: for /readyz and the service manager."""

from typing import Final

from bot.pulse import SMSCODE, TELEGRAM
from bot.services.desk import Desk

WORKERS: Final = ("intake", "dispatch", "watcher", "courier", "housekeeping")
"""The loops without which there is no desk."""

LATELY: Final = 90.0
"""Seconds within which a server must have answered. Telegram's long polls take 25, and quiet servers are asked after
60."""


def missing(desk: Desk) -> list[str]:
    """The names of what is not well, empty when all is: loops, `telegram`, `smscode`, `database`."""
    found = stuck(desk)
    found.extend(server for server in (TELEGRAM, SMSCODE) if desk.pulse.unheard(server) > LATELY)
    if not desk.database.is_writable:
        found.append("database")
    return found


def stuck(desk: Desk) -> list[str]:
    """The loops that do not turn: what a restart of the process may mend, as an outage elsewhere is not."""
    return desk.pulse.silent(WORKERS)
