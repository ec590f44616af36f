"""Keeps SMSCode's events coming: registered at the start, looked after every hour."""

import logging
from typing import Final

from bot.domain.errors import NotOffered, SmsError
from bot.services import webhooks
from bot.services.desk import Desk

log = logging.getLogger(__name__)

_EVERY: Final = 3_600.0
_TRY_AGAIN: Final = 60.0


class Registrar:
    """Registers, then looks once an hour whether that still holds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        """Register and look after it, for ever; without webhooks polling does all the work."""
        registered = False
        while True:
            pause = _EVERY
            try:
                await (webhooks.look_after if registered else webhooks.register)(self._desk)
                registered = True
            except NotOffered:
                log.info("the %s contract has no webhooks: web.public_url is not needed", self._desk.sms.contract)
            except SmsError as error:
                log.warning("SMSCode cannot be told where to send its events: %s", error)
                pause = _TRY_AGAIN
            await self._desk.clock.sleep(pause)
