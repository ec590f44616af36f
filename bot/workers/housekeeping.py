"""Tidying up: what is over is forgotten on time, and what was left half done is taken up."""

import asyncio
import logging
import sqlite3
from typing import Final

from bot.services import approvals, evidence
from bot.services.desk import Desk
from storage import buttons, inbox, members, orders, outbox, watches
from storage.database import heartbeat_of

log = logging.getLogger(__name__)

_EVERY: Final = 20.0
"""Seconds between two rounds, and between two signs of life: `otpdesk healthy` believes in one for a minute."""

_DAY: Final = 24 * 3600 * 1000
_INBOX_KEPT: Final = 7 * _DAY
"""Telegram keeps updates for a day at most; a week is beyond any second delivery."""

_OUTBOX_KEPT: Final = 30 * _DAY
_STRANGERS_KEPT: Final = 30 * _DAY
_SILENT_KEPT: Final = _DAY
"""Whoever was told of the button and never pressed it gives up their place: a flood must not lock out a month."""


class Housekeeping:
    """Makes its round, shows that the desk is alive, rests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        """Tidy up, rest, for ever."""
        while True:
            await self.tidy()
            # Only now: a desk that can no longer write its database is not well.
            await asyncio.to_thread(heartbeat_of(self._desk.database.path).touch)
            self._desk.pulse.beat("housekeeping", _EVERY)
            await self._desk.clock.sleep(_EVERY)

    async def tidy(self) -> None:
        """Forget what has had its time, codes first, and recover orders that broke off."""
        now = self._desk.now
        codes_before = now - self._desk.settings.retention.codes * 1000

        def body(connection: sqlite3.Connection) -> int:
            purged = orders.purge_codes(connection, codes_before)
            inbox.forget(connection, now - _INBOX_KEPT)
            outbox.forget(connection, now - _OUTBOX_KEPT)
            buttons.forget(connection, now - _DAY)
            watches.forget(connection, now)
            members.forget_strangers(connection, now - _STRANGERS_KEPT, now - _SILENT_KEPT)
            members.forget_temporary_limits(connection, now - _DAY)
            return purged

        purged = await self._desk.database.transact(body)
        if purged:
            await self._desk.database.shrink_journal()
            log.info("%d codes have had their time and are deleted", purged)
        await approvals.expire(self._desk)
        recovered = await evidence.recover(self._desk)
        if recovered:
            log.warning("%d orders had broken off on their way", recovered)
