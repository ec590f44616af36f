"""What every service needs at hand, put together once by `bot.app`."""

import asyncio
import itertools
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from bot.clock import Clock, milliseconds, moment
from bot.config import Settings
from bot.domain.limits import Calendar, calendar_at
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.metrics import Metrics
from bot.pulse import Pulse
from bot.services.catalog import Catalog
from bot.services.easel import Easel
from bot.services.hints import Hints, WebhookHealth
from bot.sms.budget import RequestBudget
from bot.sms.port import SmsPort
from storage import members, outbox
from storage.database import Database, DatabaseDamaged

log = logging.getLogger(__name__)
T = TypeVar("T")

_PAUSES: Final = (0.05, 0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between tries to use a database that cannot be used; the last one repeats."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Wake-up calls between the services and the workers; losing one only costs a short delay."""

    inbox: asyncio.Event = field(default_factory=asyncio.Event)
    outbox: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Event = field(default_factory=asyncio.Event)
    placed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk's parts.

    `creating` lets one create at a time through where a repeat could charge twice; `placing` holds the keys of
    the commands that are placing an order right now, so that nobody takes theirs for left over. `unclear_since`
    says since when (monotonic seconds) this process has known an order as unclear. `reconciled`
    is set once every order that lived at the start has been looked at, `compared` once the books were found to agree or
    orders were stopped: no new one is placed before. `hints` are
    orders that SMSCode's webhooks spoke of, `webhooks` says how far they can be relied on. `pulse` knows which loops
    turn and which servers answer, `metrics` counts what is done.
    """

    settings: Settings
    database: Database
    sms: SmsPort
    requests: RequestBudget
    catalog: Catalog
    clock: Clock
    hints: Hints
    pulse: Pulse
    metrics: Metrics
    webhooks: WebhookHealth = field(default_factory=WebhookHealth)
    signals: Signals = field(default_factory=Signals)
    creating: asyncio.Lock = field(default_factory=asyncio.Lock)
    placing: set[str] = field(default_factory=set)
    unclear_since: dict[int, float] = field(default_factory=dict)
    reconciled: asyncio.Event = field(default_factory=asyncio.Event)
    compared: asyncio.Event = field(default_factory=asyncio.Event)
    easel: Easel = field(default_factory=Easel)

    @property
    def now(self) -> int:
        """Unix milliseconds."""
        return milliseconds(self.clock)

    @property
    def calendar(self) -> Calendar:
        """The team's day and month at this moment."""
        return calendar_at(moment(self.clock), self.settings.limits.zone)

    async def transact(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Run `body` as one transaction and let the courier look for what it put into the outbox."""
        result = await self.database.transact(body)
        self.signals.outbox.set()
        return result

    async def insist(self, body: Callable[[sqlite3.Connection], T]) -> T:
        """Write down what has already happened outside: try until it is on disk."""
        return await self.patiently(lambda: self.transact(body))

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat `attempt` for as long as the database cannot be used; whatever else SQLite says is raised.

        A damaged one can not be used again before a backup is restored: whatever waits for it is taken up after that.
        """
        pauses = itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))
        while True:
            try:
                return await attempt()
            except (sqlite3.OperationalError, DatabaseDamaged) as error:
                pause = next(pauses)
                log.error("cannot use the database (%s); again in %.1f s", error, pause)  # noqa: TRY400
                await self.clock.sleep(pause)

    def alert(self, connection: sqlite3.Connection, key: str, **facts: str | int | None) -> None:
        """Tell the admins once per `key`; `facts["what"]` names the alert's text."""
        for chat_id in self.admin_chats(connection):
            notice = Notice(
                NoticeKind.ALERT, chat_id, f"alert:{key}:{chat_id}", urgency=Urgency.CARD, facts=dict(facts)
            )
            outbox.put(connection, notice, self.now)

    async def alert_token(self) -> None:
        """Tell the admins, once a day, that SMSCode rejects the token: only they can put it right."""
        day = self.calendar.window.day
        await self.transact(lambda connection: self.alert(connection, f"token:{day}", what="token"))

    def admin_chats(self, connection: sqlite3.Connection) -> list[int]:
        """Where admins read: the chat that the configuration names, or each admin's own."""
        chat = self.settings.access.admin_chat
        return [chat] if chat is not None else [admin.user_id for admin in members.admins(connection)]
