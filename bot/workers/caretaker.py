"""Looks after what runs low and what is in stock again, and tells the admins of last week."""

from typing import Final

from bot.services import alarms, digests, stock
from bot.services.desk import Desk

_EVERY: Final = 60.0
_BALANCE_EVERY: Final = 300.0


class Caretaker:
    """Looks at disk, stock and calendar every minute, at the balance every five unless the lookout reads it anyway."""

    def __init__(self, desk: Desk, *, asks_balance: bool) -> None:
        self._desk = desk
        self._asks_balance = asks_balance
        self._balance_due = 0.0
        self._rounds = stock.Rounds(desk)

    async def run(self) -> None:
        """Look, rest, for ever."""
        while True:
            await alarms.look_at_disk(self._desk, alarms.free_bytes)
            await digests.tell_last_week(self._desk)
            await self._rounds.look()
            now = self._desk.clock.monotonic()
            if self._asks_balance and now >= self._balance_due:
                self._balance_due = now + _BALANCE_EVERY
                await alarms.look_at_balance(self._desk)
            await self._desk.clock.sleep(_EVERY)
