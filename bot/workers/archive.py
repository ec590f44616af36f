"""The books are copied by the clock, so that a lost machine costs a day of them at most."""

import logging
from typing import Final

from bot.domain.errors import BackupFailed
from bot.services import backups
from bot.services.desk import Desk
from storage import audit

log = logging.getLogger(__name__)

_LOOK_AT_LEAST: Final = 3_600.0
_TRY_AGAIN: Final = 600.0
_AFTER_START: Final = 60.0
"""Seconds for which a start is left alone: it has codes to look for first."""


class Archive:
    """Makes a backup when one is due."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        """Wait, copy, for ever."""
        await self._desk.clock.sleep(_AFTER_START)
        while True:
            pause = await backups.due_in(self._desk)
            if pause <= 0:
                pause = await self._copy()
            await self._desk.clock.sleep(min(pause, _LOOK_AT_LEAST))

    async def _copy(self) -> float:
        try:
            await backups.make(self._desk, audit.DESK)
        except BackupFailed as error:
            log.error("no backup could be made: %s", error.reason)  # noqa: TRY400
            await backups.tell(self._desk, error)
            return _TRY_AGAIN
        return float(self._desk.settings.backup.every)
