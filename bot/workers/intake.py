"""Telegram → inbox: an update is on disk before Telegram is told to forget it.

It is asked for (`Intake`) or brought (`Reception`). Either way what comes twice is one row, so that changing over from
one to the other repeats nothing, and Telegram itself keeps what neither has confirmed.
"""

import json
import logging
import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import Any, Final

from cachetools import TTLCache

from bot import logs
from bot.domain.errors import BotTokenRejected, ChatUnreachable, SecondBot, WebhookSet
from bot.services import access
from bot.services.desk import Desk
from bot.workers.supervisor import Fatal
from storage import audit, inbox
from storage.inbox import NOBODY, Arrival

log = logging.getLogger(__name__)

Raw = Mapping[str, Any]
Fetch = Callable[[int | None], Awaitable[Sequence[Raw]]]
Hook = Callable[[str, str], Awaitable[None]]
Look = Callable[[], Awaitable[tuple[str, str]]]

_CONFLICTS_BEFORE_EXIT: Final = 5
_CONFLICT_PAUSE: Final = 5.0
_TOKEN_PAUSE: Final = 30.0
_REJECTIONS_BEFORE_EXIT: Final = 3
_FIRST_PAUSE: Final = 1.0
_HOUR: Final = 3_600_000
"""Milliseconds in which a second bot is told of once, however often that makes this one start anew."""

_LONGEST_PAUSE: Final = 30.0

_LOOK_EVERY: Final = 60.0

_LONGEST_TURN: Final = 90.0
"""Seconds for one long poll and the longest pause after it."""

_STRANGER_UPDATES: Final = 5
_STRANGER_SECONDS: Final = 3600.0
_STRANGERS_REMEMBERED: Final = 10_000
_STRANGERS_A_MINUTE: Final = 240
"""Strangers' messages that are let in within a minute, and as many presses: a team that joins at once fits in."""

_LARGEST_UPDATE: Final = 256 * 1024


class Inlet(ABC):
    """What both ways in share: keeping updates, and what to do when Telegram says no."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._offset: int | None = None
        self._conflicts = 0
        self._failures = 0
        self._rejections = 0
        self._was_accepted = False
        self._strangers: TTLCache[tuple[int, bool], int] = TTLCache(
            _STRANGERS_REMEMBERED, _STRANGER_SECONDS, timer=desk.clock.monotonic
        )
        self._let_in: dict[bool, deque[float]] = {False: deque(), True: deque()}

    async def run(self) -> None:
        """Take one turn after the other, for ever."""
        while True:
            self._desk.pulse.beat("intake", _LONGEST_TURN)
            try:
                await self.turn()
            except SecondBot as error:
                await self._second_bot(error)
            except BotTokenRejected as error:
                await self._token_rejected(error)
            except ChatUnreachable as error:
                await self._back_off(error)

    @abstractmethod
    async def turn(self) -> None:
        """One round of the loop.

        Raises:
            ChatError: Telegram has said no, or nothing.
        """

    def _all_is_well(self) -> None:
        self._conflicts = self._failures = self._rejections = 0
        self._was_accepted = True

    async def keep(self, updates: Sequence[Raw]) -> None:
        """Put updates into the inbox; only then may the offset move past them."""
        usable = [update for update in updates if _whole(update.get("update_id")) is not None]
        came = [arrival_of(update) for update in usable]
        known = await access.members_among(self._desk, {arrival.user_id for arrival in came}) if came else frozenset()
        arrivals = [arrival for arrival in came if self._welcome(arrival, known)]
        if arrivals:
            await self._desk.database.transact(lambda connection: inbox.store(connection, arrivals, self._desk.now))
            self._desk.signals.inbox.set()
        if usable:
            self._offset = max(int(update["update_id"]) for update in usable) + 1

    def _welcome(self, arrival: Arrival, known: Container[int]) -> bool:
        """Strangers get a few rows an hour, so that a flood of theirs fills nothing."""
        if len(arrival.body) > _LARGEST_UPDATE:
            log.warning("update %s is larger than any that Telegram sends; it is left out", arrival.update_id)
            return False
        if arrival.user_id == NOBODY or arrival.user_id in known:
            return True
        # Presses are counted apart, so that whoever has talked first can still ask to come in, in a flood too.
        stranger = (arrival.user_id, arrival.callback_id is not None)
        seen = self._strangers.get(stranger, 0)
        if seen >= _STRANGER_UPDATES or (seen == 0 and len(self._strangers) >= _STRANGERS_REMEMBERED):
            return False
        if not self._has_room_for_a_stranger(self._let_in[arrival.callback_id is not None]):
            return False
        self._strangers[stranger] = seen + 1
        return True

    def _has_room_for_a_stranger(self, let_in: deque[float]) -> bool:
        now = self._desk.clock.monotonic()
        while let_in and let_in[0] <= now - 60.0:
            let_in.popleft()
        if len(let_in) >= _STRANGERS_A_MINUTE:
            return False
        let_in.append(now)
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


class Intake(Inlet):
    """Asks Telegram for updates. `unhook` ends the bringing of them that an earlier run may have asked for."""

    def __init__(self, desk: Desk, fetch: Fetch, unhook: Callable[[], Awaitable[None]]) -> None:
        super().__init__(desk)
        self._fetch = fetch
        self._unhook = unhook

    async def turn(self) -> None:
        """Ask, keep, confirm."""
        asked_at, offset = self._desk.clock.monotonic(), self._offset
        try:
            updates = await self._fetch(offset)
        except WebhookSet:
            if self._was_accepted:
                raise  # it was set while this desk was asking: that is somebody else
            log.info("updates were brought to an address until now; from here on they are asked for")
            await self._unhook()
            return
        self._all_is_well()
        await self.keep(updates)
        if self._offset == offset and self._desk.clock.monotonic() - asked_at < _FIRST_PAUSE:
            # Telegram holds back an answer that has nothing in it; whatever does not would be asked on and on.
            await self._desk.clock.sleep(_FIRST_PAUSE)


class Reception(Inlet):
    """Has Telegram bring updates to `url`, and looks each minute whether it still does.

    The secret that they must carry is made anew at each start, so that one which leaked is of no use after it.
    """

    def __init__(self, desk: Desk, url: str, hook: Hook, look: Look) -> None:
        super().__init__(desk)
        self.secret = secrets.token_urlsafe(32)
        logs.conceal(self.secret)
        self._url = url
        self._hook = hook
        self._look = look
        self._is_set = False
        self._trouble = ""

    async def turn(self) -> None:
        """Set the webhook, or look whether it is still ours."""
        if not self._is_set:
            await self._hook(self._url, self.secret)
            self._is_set = self._was_accepted = True
            log.info("Telegram brings updates to %s", self._url)
        else:
            await self._check()
        await self._desk.clock.sleep(_LOOK_EVERY)

    async def _check(self) -> None:
        url, trouble = await self._look()
        if url != self._url:
            self._is_set = False
            raise SecondBot("updates are no longer brought here: somebody else has set or removed the webhook")
        if trouble and trouble != self._trouble:
            log.warning("Telegram could not bring an update: %s", trouble)
        self._trouble = trouble
        self._all_is_well()


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
