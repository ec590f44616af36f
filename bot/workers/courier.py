"""Outbox → Telegram: at least once, codes first, in order within one chat."""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from bot import logs
from bot.domain.notices import (
    Delivered,
    Delivery,
    Moved,
    Notice,
    NoticeKind,
    Rejected,
    TryLater,
    Unreachable,
    Urgency,
)
from bot.services.desk import Desk
from bot.workers.waiting import finish, wait_for
from storage import audit, members, orders, outbox
from storage.outbox import Letter

log = logging.getLogger(__name__)

Deliver = Callable[[Letter], Awaitable[Delivery]]

_AT_ONCE: Final = 32
_LONGEST_WAIT: Final = 30.0
_LONGEST_PAUSE: Final = 60.0
_SET_BACK: Final = 2.0
"""Seconds that the date may go back at once before it counts as set anew."""

_MOST_REJECTIONS: Final = 3
_MOST_BREAKS: Final = 10
_TRIED_ON: Final = (NoticeKind.CODE, NoticeKind.ALERT)
_TRIED_EVERY: Final = 60.0
_HOUR: Final = 3_600_000
_KEPT_FOR: Final = 24 * 3600 * 1000
"""Milliseconds for which codes and alerts are tried again on somebody who cannot be written to."""


class Courier:
    """Takes due letters, tries each once, and books what became of it.

    A chat is given one letter at a time, except that a code does not wait for a letter that waits for its place.
    """

    def __init__(self, desk: Desk, deliver: Deliver) -> None:
        self._desk = desk
        self._deliver = deliver
        self._codes: dict[int, asyncio.Task[None]] = {}
        self._others: dict[int, asyncio.Task[None]] = {}
        self._ahead = desk.clock.now() - desk.clock.monotonic()

    async def run(self) -> None:
        """Deliver for ever; when asked to stop, let what is under way come to its end."""
        await self._desk.database.transact(outbox.revive)
        await self._hurry()
        try:
            while True:
                if self._date_was_set_back():
                    await self._hurry()
                await self._start_due()
                seconds = await self._wait_seconds()
                self._desk.pulse.beat("courier", seconds)
                await wait_for(self._desk.signals.outbox, self._desk.clock, seconds)
        except asyncio.CancelledError:
            await finish([*self._codes.values(), *self._others.values()])
            raise

    async def _hurry(self) -> None:
        await self._desk.database.transact(lambda connection: outbox.hurry(connection, self._desk.now))

    def _date_was_set_back(self) -> bool:
        """Whether the date has gone back against the clock that only grows: then no letter's date means anything."""
        ahead = self._desk.clock.now() - self._desk.clock.monotonic()
        was_ahead, self._ahead = self._ahead, ahead
        return ahead < was_ahead - _SET_BACK

    async def _start_due(self) -> None:
        codes, busy = list(self._codes), [*self._codes, *self._others]
        room_for_codes, room = _AT_ONCE - len(self._codes), _AT_ONCE - len(self._others)
        now = self._desk.now

        def is_due(connection: sqlite3.Connection) -> bool:
            return outbox.is_due(connection, codes, now, Urgency.CODE) or outbox.is_due(connection, busy, now)

        def claim(connection: sqlite3.Connection) -> list[Letter]:
            first = outbox.claim(connection, codes, now, room_for_codes, Urgency.CODE)
            taken = {*busy, *(letter.notice.chat_id for letter in first)}
            return first + outbox.claim(connection, taken, now, room)

        if await self._desk.database.read(is_due):
            for letter in await self._desk.database.transact(claim):
                self._start(letter)

    def _start(self, letter: Letter) -> None:
        chat_id = letter.notice.chat_id
        lane = self._codes if letter.notice.urgency is Urgency.CODE else self._others
        lane[chat_id] = asyncio.create_task(self._carry(letter), name=f"letter {letter.id}")
        lane[chat_id].add_done_callback(partial(self._done, lane, chat_id))

    def _done(self, lane: dict[int, asyncio.Task[None]], chat_id: int, _: asyncio.Task[None]) -> None:
        lane.pop(chat_id, None)
        self._desk.signals.outbox.set()

    async def _carry(self, letter: Letter) -> None:
        with logs.about(letter.notice.command):
            await self._book(letter, await self._try(letter))

    async def _try(self, letter: Letter) -> Delivery:
        """Try once; whatever nobody thought of is tried again for a while."""
        try:
            return await self._deliver(letter)
        except Exception as error:
            log.exception("letter %s broke off", letter.id)
            reason = type(error).__name__
            gives_up = letter.attempts >= _MOST_BREAKS
            return Rejected(reason) if gives_up else TryLater(5.0, reason, may_have_arrived=True)

    async def _book(self, letter: Letter, outcome: Delivery) -> None:
        if isinstance(outcome, Delivered):
            await self._desk.insist(
                lambda connection: outbox.delivered(connection, letter.id, outcome.message_id, self._desk.now)
            )
            if letter.notice.kind is NoticeKind.CODE:
                log.info("letter %s: the code of order %s is in its chat", letter.id, letter.notice.order_id)
                self._desk.metrics.push_delay.observe(max(0, self._desk.now - letter.created_at) / 1000)
        elif isinstance(outcome, TryLater):
            await self._postpone(letter, outcome)
        elif isinstance(outcome, Moved):
            await self._follow(letter, outcome)
        else:
            await self._give_up(letter, outcome)

    async def _postpone(self, letter: Letter, outcome: TryLater) -> None:
        """Again later, ever more patiently; a chat that asks for patience waits as a whole."""
        backed_off = min(outcome.seconds * 2 ** min(letter.attempts, 10), _LONGEST_PAUSE)
        seconds = outcome.seconds if outcome.whole_chat else max(outcome.seconds, backed_off)
        until = self._desk.now + round(seconds * 1000)
        log.warning("letter %s waits %.0f s: %s", letter.id, seconds, outcome.reason)

        def body(connection: sqlite3.Connection) -> None:
            outbox.postpone(connection, letter.id, until, outcome.reason, repeated=outcome.may_have_arrived)
            if outcome.whole_chat:
                outbox.postpone_chat(connection, letter.notice.chat_id, until)

        await self._desk.insist(body)

    async def _follow(self, letter: Letter, outcome: Moved) -> None:
        """The group has become a supergroup: everything that lives in it moves along."""
        old, new = letter.notice.chat_id, outcome.chat_id

        def body(connection: sqlite3.Connection) -> None:
            outbox.postpone(connection, letter.id, self._desk.now, "the group moved", repeated=False)
            members.move_chat(connection, old, new)
            audit.write(connection, self._desk.now, audit.DESK, "chat.move", subject=new, old=old)

        await self._desk.insist(body)

    async def _give_up(self, letter: Letter, outcome: Unreachable | Rejected) -> None:
        """Nobody is lost in silence: a code goes to the admins instead, anything else becomes a dead letter."""
        notice = letter.notice
        if isinstance(outcome, Rejected) and letter.attempts + 1 < _MOST_REJECTIONS:
            await self._postpone(letter, TryLater(1.0, outcome.reason))
            return
        is_young = self._desk.now - letter.created_at < _KEPT_FOR
        if isinstance(outcome, Unreachable) and notice.kind in _TRIED_ON and is_young:
            if notice.kind is NoticeKind.CODE:
                await self._desk.insist(lambda connection: self._tell_held(connection, notice, outcome.reason))
            elif notice.chat_id == self._desk.settings.access.admin_chat:
                await self._desk.insist(lambda connection: self._copy(connection, notice))
            # Whoever has not opened a chat with the bot yet, or has blocked it for a while, hears of it afterwards.
            await self._postpone(letter, TryLater(_TRIED_EVERY, outcome.reason))
            return

        def body(connection: sqlite3.Connection) -> None:
            outbox.bury(connection, letter.id, outcome.reason, self._desk.now)
            if notice.kind is NoticeKind.ALERT:
                return  # an alert about an undeliverable alert would never end
            if notice.kind is NoticeKind.CODE:
                self._redirect(connection, notice, outcome.reason)
            else:
                self._desk.alert(
                    connection,
                    self._cause(letter, outcome.reason),
                    what="dead" if notice.order_id else "dead_answer",
                    kind=notice.kind,
                    order=notice.order_id,
                    reason=outcome.reason,
                )

        log.error("letter %s (%s) cannot be delivered: %s", letter.id, notice.kind, outcome.reason)
        await self._desk.insist(body)

    def _tell_held(self, connection: sqlite3.Connection, notice: Notice, reason: str) -> None:
        """The admins get the code; where it was ordered in a group, its orderer reads there how to get it as well."""
        self._redirect(connection, notice, reason)
        order = orders.get(connection, notice.order_id or 0)
        if order is None or notice.chat_id != order.member_id or order.chat_id == notice.chat_id:
            return
        if members.get(connection, order.member_id) is None:
            return  # whoever was taken off the list is not to get it
        key = f"held:{notice.dedupe_key}"
        held = Notice(NoticeKind.HELD, order.chat_id, key, thread_id=order.thread_id, order_id=order.id)
        outbox.put(connection, held, self._desk.now)

    def _cause(self, letter: Letter, reason: str) -> str:
        """What an alert about a dead letter is about: its order, or else that chat for an hour."""
        if letter.notice.order_id:
            return f"dead:{letter.id}"
        return f"dead:{letter.notice.chat_id}:{reason[:40]}:{self._desk.now // _HOUR}"

    def _redirect(self, connection: sqlite3.Connection, notice: Notice, reason: str) -> None:
        """Give the admins a code that its own chat does not take, once; a copy of theirs goes no further."""
        if notice.dedupe_key.startswith("admins:"):
            return
        self._desk.alert(
            connection, f"elsewhere:{notice.dedupe_key}", what="code_elsewhere", order=notice.order_id, reason=reason
        )
        self._copy(connection, notice)

    def _copy(self, connection: sqlite3.Connection, notice: Notice) -> None:
        """The same to the admins: where they read, or to each in private if that is the chat that does not take it."""
        private = [admin.user_id for admin in members.admins(connection)]
        chats = self._desk.admin_chats(connection)
        for chat_id in {*(private if notice.chat_id in chats else chats)} - {notice.chat_id}:
            copy = replace(
                notice,
                chat_id=chat_id,
                thread_id=None,
                dedupe_key=f"admins:{chat_id}:{notice.dedupe_key}",
                command=None,
            )
            outbox.put(connection, copy, self._desk.now)

    async def _wait_seconds(self) -> float:
        due = await self._desk.database.read(outbox.next_due)
        if due is None:
            return _LONGEST_WAIT
        # A letter that is due but whose chat is busy is started by that chat's own wake-up call.
        return min(max((due - self._desk.now) / 1000, 1.0 if self._codes or self._others else 0.05), _LONGEST_WAIT)
