"""Telegram → inbox: an update is on disk before Telegram is told to forget it."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from cachetools import TTLCache

from bot.domain.errors import BotTokenRejected, ChatUnreachable, SecondBot
from bot.services import access
from bot.services.desk import Desk
from bot.workers.supervisor import Fatal
from storage import audit, inbox
from storage.inbox import NOBODY, Arrival

log = logging.getLogger(__name__)

Raw = Mapping[str, Any]
Fetch = Callable[[int | None], Awaitable[Sequence[Raw]]]

_CONFLICTS_BEFORE_EXIT: Final = 5
_CONFLICT_PAUSE: Final = 5.0
_TOKEN_PAUSE: Final = 30.0
_REJECTIONS_BEFORE_EXIT: Final = 3
_FIRST_PAUSE: Final = 1.0
_HOUR: Final = 3_600_000
"""Milliseconds in which a second bot is told of once, however often that makes this one start anew."""

_LONGEST_PAUSE: Final = 30.0

_LONGEST_TURN: Final = 90.0
"""Seconds for one long poll and the longest pause after it."""

_STRANGER_UPDATES: Final = 5
_STRANGER_SECONDS: Final = 3600.0
_STRANGERS_REMEMBERED: Final = 10_000
_LARGEST_UPDATE: Final = 256 * 1024


class Intake:
    """Asks Telegram for updates and keeps them."""

    def __init__(self, desk: Desk, fetch: Fetch) -> None:
        self._desk = desk
        self._fetch = fetch
        self._offset: int | None = None
        self._conflicts = 0
        self._failures = 0
        self._rejections = 0
        self._was_accepted = False
        self._strangers: TTLCache[tuple[int, bool], int] = TTLCache(
            _STRANGERS_REMEMBERED, _STRANGER_SECONDS, timer=desk.clock.monotonic
        )

    async def run(self) -> None:
        """Ask, keep, confirm; for ever."""
        while True:
            asked_at, offset = self._desk.clock.monotonic(), self._offset
            self._desk.pulse.beat("intake", _LONGEST_TURN)
            try:
                updates = await self._fetch(self._offset)
            except SecondBot as error:
                await self._second_bot(error)
            except BotTokenRejected as error:
                await self._token_rejected(error)
            except ChatUnreachable as error:
                await self._back_off(error)
            else:
                self._conflicts = self._failures = self._rejections = 0
                self._was_accepted = True
                await self.keep(updates)
                if self._offset == offset and self._desk.clock.monotonic() - asked_at < _FIRST_PAUSE:
                    # Telegram holds back an answer that has nothing in it; whatever does not would be asked on and on.
                    await self._desk.clock.sleep(_FIRST_PAUSE)

    async def keep(self, updates: Sequence[Raw]) -> None:
        """Put updates into the inbox; only then may the offset move past them."""
        usable = [update for update in updates if _whole(update.get("update_id")) is not None]
        arrivals = [arrival for arrival in map(arrival_of, usable) if await self._welcome(arrival)]
        if arrivals:
            await self._desk.database.transact(lambda connection: inbox.store(connection, arrivals, self._desk.now))
            self._desk.signals.inbox.set()
        if usable:
            self._offset = max(int(update["update_id"]) for update in usable) + 1

    async def _welcome(self, arrival: Arrival) -> bool:
        """Strangers get a few rows an hour, so that a flood of theirs fills nothing."""
        if len(arrival.body) > _LARGEST_UPDATE:
            log.warning("update %s is larger than any that Telegram sends; it is left out", arrival.update_id)
            return False
        if arrival.user_id == NOBODY or await access.member(self._desk, arrival.user_id) is not None:
            return True
        # Presses are counted apart, so that whoever has talked first can still ask to come in.
        stranger = (arrival.user_id, arrival.callback_id is not None)
        seen = self._strangers.get(stranger, 0)
        if seen >= _STRANGER_UPDATES or (seen == 0 and len(self._strangers) >= _STRANGERS_REMEMBERED):
            return False
        self._strangers[stranger] = seen + 1
        return True

    async def _second_bot(self, error: SecondBot) -> None:
        """Two bots with one token steal each other's updates: stop spending, say so, and give way if it lasts."""
        self._conflicts += 1
        log.error("%s (%d of %d)", error, self._conflicts, _CONFLICTS_BEFORE_EXIT)
        if self._conflicts == 2:
            await access.pause(self._desk, audit.DESK, "another bot runs with this token")
            await self._desk.transact(
                lambda connection: self._desk.alert(connection, f"second:{self._desk.now // _HOUR}", what="second_bot")
            )
        if self._conflicts >= _CONFLICTS_BEFORE_EXIT:
            raise Fatal("another bot runs with this token; stop one of the two")
        await self._desk.clock.sleep(_CONFLICT_PAUSE)

    async def _token_rejected(self, error: BotTokenRejected) -> None:
        """A token that never worked is a mistake to be mended; one that did is tried on, for Telegram has bad days."""
        self._rejections += 1
        log.error("%s (%d in a row)", error, self._rejections)
        if not self._was_accepted and self._rejections >= _REJECTIONS_BEFORE_EXIT:
            raise Fatal("Telegram rejects telegram.token; put the token that @BotFather shows into the configuration")
        await self._desk.clock.sleep(_TOKEN_PAUSE if self._was_accepted else 1.0)

    async def _back_off(self, error: ChatUnreachable) -> None:
        self._failures += 1
        pause = min(_FIRST_PAUSE * 2 ** min(self._failures - 1, 10), _LONGEST_PAUSE)
        pause = max(pause, error.retry_after or 0.0)
        log.warning("Telegram cannot be asked (%s); again in %.0f s", error.reason, pause)
        await self._desk.clock.sleep(pause)


def arrival_of(update: Raw) -> Arrival:
    """The row of an update: whose it is, and the names by which a second delivery is recognised.

    Whatever is not shaped as expected simply has no such name; the update itself is always kept.
    """
    press = _part(update, "callback_query")
    message = _part(update, "message")
    sender = _part(press or message or _part(update, "my_chat_member"), "from")
    callback_id = press.get("id")
    return Arrival(
        update_id=int(update["update_id"]),
        body=json.dumps(update),  # in ASCII: half of a surrogate pair is no text that SQLite would take
        user_id=_whole(sender.get("id")) or NOBODY,
        chat_id=_whole(_part(message, "chat").get("id")),
        message_id=_whole(message.get("message_id")),
        callback_id=callback_id if isinstance(callback_id, str) else None,
    )


def _part(container: Raw, name: str) -> Raw:
    value = container.get(name)
    return value if isinstance(value, Mapping) else {}


def _whole(value: object) -> int | None:
    """An integer that SQLite can hold, or nothing."""
    is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return value if is_whole and isinstance(value, int) else None
