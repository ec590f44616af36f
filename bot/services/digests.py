"""The weekly digest: the admins hear on Monday what last week cost, at most once whatever restarts."""

import sqlite3
from typing import Final

from bot.clock import moment
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.domain.periods import week_before
from bot.services import reports
from bot.services.desk import Desk
from storage import outbox, settings

_FROM_HOUR: Final = 9
"""The hour of the team's Monday from which on it is sent: nobody wants their phone to ring at midnight."""


async def tell_last_week(desk: Desk) -> None:
    """Put last week's digest into the outbox, if it is wanted and due and was not told before.

    The week and its letters are one transaction, so neither a crash nor a second look tells it twice. A desk that was
    down on Monday tells it when it is back.
    """
    if not desk.settings.reports.weekly_digest:
        return
    week = str(week_before(reports.today(desk)))
    local = moment(desk.clock).astimezone(desk.settings.limits.zone)
    is_early = local.weekday() == 0 and local.hour < _FROM_HOUR
    told = await desk.database.read(lambda connection: settings.get(connection, settings.DIGEST))
    # Weeks compare as their dates do: a clock that was set back tells no older week after a newer one.
    if is_early or (told is not None and told >= week):
        return

    def body(connection: sqlite3.Connection) -> None:
        settings.put(connection, settings.DIGEST, week)
        for chat_id in desk.admin_chats(connection):
            key = f"digest:{week}:{chat_id}"
            facts = {"period": week}
            notice = Notice(NoticeKind.DIGEST, chat_id, key, urgency=Urgency.TALK, facts=facts)
            outbox.put(connection, notice, desk.now)

    await desk.transact(body)
