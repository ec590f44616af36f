"""Inbox → handlers: up to 64 updates at once, in order within one user, each marked when it is dealt with."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from bot import logs
from bot.services.desk import Desk
from bot.workers.waiting import finish, wait_for
from storage import inbox
from storage.inbox import Pending

log = logging.getLogger(__name__)

Handle = Callable[[Mapping[str, Any]], Awaitable[None]]

AT_ONCE: Final = 64
_STRANGERS_AT_ONCE: Final = 3
"""Strangers' updates that may be under way: their notices share the disk and Telegram's limits with the answers to
members. Three send more than the few a second that are let in; eight kept members waiting three times as long."""

_LOOK_AGAIN: Final = 5.0


class Dispatch:
    """Hands waiting updates to the chat's handlers."""

    def __init__(self, desk: Desk, handle: Handle) -> None:
        self._desk = desk
        self._handle = handle
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._strangers: set[int] = set()

    async def run(self) -> None:
        """Take what waits; when asked to stop, let what is under way come to its end."""
        try:
            while True:
                await self._start_waiting()
                self._desk.pulse.beat("dispatch", _LOOK_AGAIN)
                await wait_for(self._desk.signals.inbox, self._desk.clock, _LOOK_AGAIN)
        except asyncio.CancelledError:
            await finish(self._busy.values())
            raise

    async def _start_waiting(self) -> None:
        free = AT_ONCE - len(self._busy)
        if free <= 0:
            return
        waiting = await self._desk.database.read(lambda connection: inbox.heads(connection, self._busy, free))
        for pending in waiting:
            if not pending.from_member:
                if len(self._strangers) >= _STRANGERS_AT_ONCE:
                    break  # members come first, so that only strangers are behind this one
                self._strangers.add(pending.user_id)
            task = asyncio.create_task(self._deal_with(pending), name=f"update {pending.update_id}")
            self._busy[pending.user_id] = task
            task.add_done_callback(partial(self._done, pending.user_id))

    def _done(self, user_id: int, _: asyncio.Task[None]) -> None:
        self._busy.pop(user_id, None)
        self._strangers.discard(user_id)
        self._desk.signals.inbox.set()

    async def _deal_with(self, pending: Pending) -> None:
        with logs.about(f"{self._desk.settings.telegram.bot_id}-{pending.update_id}"):
            await self._finish(pending, await self._try(pending))

    async def _try(self, pending: Pending) -> str | None:
        """Hand it to its handler; return why it could not be dealt with, or None."""
        error: str | None = None
        try:
            await self._handle(json.loads(pending.body))
        except ValueError as reason:
            error = str(reason)[:200]
            log.warning("update %s is put aside: %s", pending.update_id, error)
        except Exception as reason:
            error = type(reason).__name__
            log.exception("update %s is put aside", pending.update_id)
        return error

    async def _finish(self, pending: Pending, error: str | None) -> None:
        now = self._desk.now
        if error is None:
            await self._desk.insist(lambda connection: inbox.finish(connection, pending.update_id, now))
        else:
            await self._desk.insist(lambda connection: inbox.quarantine(connection, pending.update_id, error, now))
