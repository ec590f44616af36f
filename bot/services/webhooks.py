"""Having SMSCode send its events here, and noticing when it has stopped."""

import logging
from typing import Final

from bot.services.desk import Desk
from storage import audit

log = logging.getLogger(__name__)

PATH: Final = "/smscode/webhook"


async def register(desk: Desk) -> None:
    """Tell SMSCode where to send events and how to sign them; the secret may be a new one.

    Raises:
        NotOffered: the contract has no webhooks. SmsError: SMSCode could not be told.
    """
    await desk.sms.settle_contract()
    before = await desk.sms.webhook()
    if before.disabled:
        await _tell(desk, before.disabled)
    url = _address(desk)
    await desk.sms.send_webhooks_to(url, desk.settings.smscode.signing_secret)
    log.info("SMSCode sends its events to %s", url)
    if before.url != url:
        await desk.transact(
            lambda connection: audit.write(
                connection, desk.now, audit.DESK, "webhook.register", url=url, before=before.url[:200]
            )
        )


async def look_after(desk: Desk) -> None:
    """Register anew what has been switched off, or turned elsewhere.

    Raises:
        NotOffered: the contract has no webhooks. SmsError: SMSCode could not be asked or told.
    """
    state = await desk.sms.webhook()
    if state.disabled or state.url != _address(desk):
        await register(desk)


def _address(desk: Desk) -> str:
    return f"{desk.settings.web.public_url}{PATH}"


async def _tell(desk: Desk, reason: str) -> None:
    """Events that SMSCode has given up on announce nothing: polling is back at its usual pace until they do again."""
    desk.webhooks.was_late()
    log.warning("SMSCode had stopped sending events: %s", reason)
    hour = desk.now // 3_600_000
    await desk.transact(
        lambda connection: desk.alert(connection, f"webhook:{hour}", what="webhook_off", reason=reason[:200])
    )
