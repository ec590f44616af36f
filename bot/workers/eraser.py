"""Takes codes out of the chats again, once `retention.chat` is over."""

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Final

from bot.domain.notices import Delivery, TryLater
from bot.services.desk import Desk
from storage import outbox
from storage.outbox import InChat

log = logging.getLogger(__name__)

TakeBack = Callable[[InChat], Awaitable[Delivery]]

_EVERY: Final = 20.0
_AT_ONCE: Final = 10
"""Messages in one round, so that a crowd of old codes does not crowd out the new ones."""


class Eraser:
    """Goes over the codes that have been in their chats for long enough."""

    def __init__(self, desk: Desk, take_back: TakeBack) -> None:
        self._desk = desk
        self._take_back = take_back

    async def run(self) -> None:
        """Erase what is due, rest, for ever."""
        while True:
            await self.erase_due()
            await self._desk.clock.sleep(_EVERY)

    async def erase_due(self) -> None:
        """Take back the oldest codes that are due; what cannot be reached now is tried in the next round."""
        before = self._desk.now - self._desk.settings.retention.chat * 1000
        due = await self._desk.database.read(lambda connection: outbox.codes_in_chats(connection, before, _AT_ONCE))
        for told in due:
            outcome = await self._take_back(told)
            if isinstance(outcome, TryLater):
                log.info("the code in letter %s stays for now: %s", told.letter_id, outcome.reason)
                continue
            # What Telegram refuses is gone already, or in a chat that is closed to us: asking again changes nothing.
            await self._desk.database.transact(self._erased(told.letter_id))

    def _erased(self, letter_id: int) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: outbox.erased(connection, letter_id, self._desk.now)
