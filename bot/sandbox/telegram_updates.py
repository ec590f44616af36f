"""The queue of updates a bot has not confirmed, with the long poll that reads it."""

import asyncio
from typing import Any

from bot.sandbox.telegram_errors import ApiError

Update = dict[str, Any]

ON_REQUEST_ONLY = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds a bot gets only when it names them in `allowed_updates`."""

_LARGEST_BATCH = 100


class Pulse:
    """Wakes everyone who waits, again and again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def beat(self) -> None:
        """Wake all who wait now."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Wait for the next beat, at most so many seconds; False when none came."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class UpdateQueue:
    """Unconfirmed updates in order. `confirmed` is the highest offset the bot asked for, so all below are gone."""

    def __init__(self, first_id: int, changed: Pulse) -> None:
        self._next_id = first_id
        self._known: dict[int, Update] = {}
        self._again: list[Update] = []
        self._poll = 0
        self.pending: list[Update] = []
        self.confirmed = 0
        self.allowed: list[str] | None = None
        self.changed = changed

    def push(self, kind: str, payload: Any, *, update_id: int | None = None) -> Update | None:
        """Queue an update; None when the bot did not ask for this kind."""
        if not self._wanted(kind):
            return None
        return self.push_raw({"update_id": self._number(update_id), kind: payload})

    def push_raw(self, update: Update) -> Update:
        """Queue an update as it is, whatever the bot asked for; an absent `update_id` is given."""
        numbered = {"update_id": self._number(update.get("update_id")), **update}
        self._known[numbered["update_id"]] = numbered
        self.pending.append(numbered)
        self.pending.sort(key=lambda queued: queued["update_id"])
        self.changed.beat()
        return numbered

    def redeliver(self, update_id: int) -> Update:
        """Hand out a known update once more, confirmed or not, with the same id.

        Raises:
            KeyError: there never was such an update.
        """
        update = self._known[update_id]
        self._again.append(update)
        self.changed.beat()
        return update

    def drop_all(self) -> None:
        """Forget what waits, as `drop_pending_updates` does."""
        self.pending.clear()

    def remove(self, update: Update) -> None:
        """Forget one that a webhook accepted."""
        if update in self._again:
            self._again.remove(update)
        elif update in self.pending:
            self.pending.remove(update)
        self.changed.beat()

    def first(self) -> Update | None:
        """What a webhook gets next."""
        waiting = [*self._again, *self.pending]
        return waiting[0] if waiting else None

    async def poll(self, *, offset: int, limit: int, timeout_seconds: float) -> list[Update]:
        """One getUpdates: confirm what lies below the offset, then wait for something to hand out.

        Raises:
            ApiError: 409, when another getUpdates starts while this one waits.
        """
        self._poll += 1
        mine = self._poll
        self._confirm(offset)
        self.changed.beat()
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout_seconds
        while not (batch := self._batch(limit)) and clock() < deadline:
            await self.changed.wait(deadline - clock())
            if self._poll != mine:
                raise ApiError(
                    409,
                    "terminated by other getUpdates request; make sure that only one bot instance is running",
                )
        return batch

    def _number(self, wanted: int | None) -> int:
        if wanted is None:
            wanted = self._next_id
        self._next_id = max(self._next_id, wanted + 1)
        return wanted

    def _wanted(self, kind: str) -> bool:
        return kind in self.allowed if self.allowed else kind not in ON_REQUEST_ONLY

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self.pending = self.pending[offset:]
            return
        self.confirmed = max(self.confirmed, offset)
        self.pending = [update for update in self.pending if update["update_id"] >= offset]

    def _batch(self, limit: int) -> list[Update]:
        size = min(max(limit, 1), _LARGEST_BATCH)
        again, self._again = self._again[:size], self._again[size:]
        return [*again, *self.pending[: size - len(again)]]
