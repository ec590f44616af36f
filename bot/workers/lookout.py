"""Keeps what /readyz and /metrics say true: whoever was not heard of is asked, so that silence means something.

The balance that is read for the metrics is the one that the alarm judges: nobody asks for it a second time.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bot.domain.errors import ChatError, SmsError
from bot.pulse import SMSCODE, TELEGRAM
from bot.services import alarms
from bot.services.desk import Desk

log = logging.getLogger(__name__)

_EVERY: Final = 10.0
_QUIET: Final = 60.0
"""Seconds without an answer after which Telegram is asked by itself."""

_BALANCE_EVERY: Final = 60.0

Ask = Callable[[], Awaitable[object]]


class Lookout:
    """Asks a quiet Telegram for the least it can tell, and SMSCode each minute for the balance.

    `ask_telegram` raises ChatError when there is no answer.
    """

    def __init__(self, desk: Desk, ask_telegram: Ask) -> None:
        self._desk = desk
        self._ask_telegram = ask_telegram
        self._balance_due = 0.0

    async def run(self) -> None:
        """Look around, for ever."""
        while True:
            await self.look()
            await self._desk.clock.sleep(_EVERY)

    async def look(self) -> None:
        """Ask whoever is to be asked now."""
        if self._desk.pulse.unheard(TELEGRAM) > _QUIET:
            await self._try(TELEGRAM, self._ask_telegram)
        now = self._desk.clock.monotonic()
        if now >= self._balance_due or self._desk.pulse.unheard(SMSCODE) > _QUIET:
            self._balance_due = now + _BALANCE_EVERY
            await self._try(SMSCODE, self._ask_balance)

    async def _try(self, server: str, ask: Ask) -> None:
        try:
            await ask()
        except (ChatError, SmsError) as error:
            log.warning("%s does not answer: %s", server, error)

    async def _ask_balance(self) -> None:
        balance = await self._desk.sms.balance()
        self._desk.metrics.show("balance_rupiah", "What the account at SMSCode has", balance)
        await alarms.judge_balance(self._desk, balance)
