"""What the service manager is told (sd_notify): that the desk runs, that its loops turn, that it is stopping.

The watchdog is fed only while every loop turns. An outage of Telegram or SMSCode is no reason to be restarted, and is
shown as the status instead.
"""

import contextlib
import logging
import socket
from collections.abc import Mapping
from typing import Final, Self

from bot.services import readiness
from bot.services.desk import Desk

log = logging.getLogger(__name__)

_EVERY: Final = 10.0
"""Seconds between two looks; a watchdog that is shorter than twice that is fed at half its time."""


class ServiceManager:
    """The socket that systemd, or whoever speaks its protocol, listens on (sd_notify(3))."""

    def __init__(self, address: str, watchdog_seconds: float | None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.every = min(_EVERY, watchdog_seconds / 2) if watchdog_seconds else _EVERY

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self | None:
        """The one that the environment names, or None."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return None
        microseconds = environment.get("WATCHDOG_USEC", "")
        return cls(address, int(microseconds) / 1_000_000 if microseconds.isdigit() else None)

    def tell(self, *lines: str) -> None:
        """Send what is to be known; whether anybody listens changes nothing."""
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto("\n".join(lines).encode(), self._address)


class Watchdog:
    """Tells the service manager how the desk is."""

    def __init__(self, desk: Desk, manager: ServiceManager) -> None:
        self._desk = desk
        self._manager = manager
        self._was_ready = False

    async def run(self) -> None:
        """Look and tell, for ever."""
        while True:
            stuck = readiness.stuck(self._desk)
            if not stuck:
                self._feed()
            else:
                log.warning("the service manager is not told that all is well: %s", ", ".join(stuck))
            await self._desk.clock.sleep(self._manager.every if self._was_ready else min(1.0, self._manager.every))

    def _feed(self) -> None:
        missing = readiness.missing(self._desk)
        status = f"STATUS={'not ready: ' + ', '.join(missing) if missing else 'ready'}"
        self._manager.tell(*([] if self._was_ready else ["READY=1"]), "WATCHDOG=1", status)
        self._was_ready = True
