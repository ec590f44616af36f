"""Every message that leaves for Telegram passes here: its pace, its errors, its last resort.

Telegram allows about 30 messages a second per bot, one a second in a private chat and 20 a minute in a group. The
sender keeps below that by itself, with a few places free for codes, which must not queue behind talk. When Telegram
asks for patience, only that chat waits.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from telegram import (
    Bot,
    InlineKeyboardMarkup,
    LinkPreviewOptions,
    Message,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
    ReplyParameters,
)
from telegram.constants import ChatAction
from telegram.error import BadRequest, ChatMigrated, Forbidden, NetworkError, RetryAfter, TelegramError, TimedOut

from bot.chat import texts
from bot.clock import Clock
from bot.domain.notices import Delivered, Delivery, Moved, Rejected, TryLater, Unreachable

log = logging.getLogger(__name__)
T = TypeVar("T")

_OVERALL_PER_SECOND: Final = 25
_PRIVATE_BURST: Final = 3
_GROUP_PER_MINUTE: Final = 15
_MORE_FOR_CODES: Final = {"overall": 4, "private": 1, "group": 5}
_MOST_CHATS_REMEMBERED: Final = 5000
_NO_PREVIEW: Final = LinkPreviewOptions(is_disabled=True)
_UNREACHABLE: Final = ("chat not found", "user is deactivated", "bot was kicked", "group chat was deactivated")


@dataclass(slots=True)
class _Pace:
    """When messages left, within `window` seconds, and how many may: `most`, and so many `more` that are urgent."""

    most: int
    more: int
    window: float
    sent: deque[float] = field(default_factory=deque)
    paused_until: float = 0.0

    def delay(self, now: float, *, urgent: bool) -> float:
        """Seconds until another one may leave."""
        while self.sent and self.sent[0] <= now - self.window:
            self.sent.popleft()
        surplus = len(self.sent) - self.most - (self.more if urgent else 0)
        return self.sent[surplus] + self.window - now if surplus >= 0 else 0.0


class Sender:
    """Sends messages at a pace Telegram accepts and says what became of each."""

    def __init__(self, bot: Bot, clock: Clock) -> None:
        self._bot = bot
        self._clock = clock
        self._overall = _Pace(_OVERALL_PER_SECOND, _MORE_FOR_CODES["overall"], 1.0)
        self._chats: dict[int, _Pace] = {}
        self._courtesies: set[asyncio.Task[None]] = set()

    @property
    def link(self) -> str:
        """The address that opens a private chat with the bot."""
        return self._bot.link

    async def close(self) -> None:
        """Give up what is still under way for courtesy alone."""
        for courtesy in self._courtesies:
            courtesy.cancel()
        await asyncio.gather(*self._courtesies, return_exceptions=True)

    async def leave(self, chat_id: int) -> None:
        """Go out of a group; if that fails, the bot stays there and says no more."""
        try:
            await self._bot.leave_chat(chat_id)
        except TelegramError as error:
            log.info("the bot stays in %s: %s", chat_id, error)

    async def send(
        self,
        chat_id: int,
        html: str,
        *,
        keyboard: InlineKeyboardMarkup | ReplyKeyboardMarkup | ReplyKeyboardRemove | None = None,
        thread_id: int | None = None,
        reply_to: int | None = None,
        urgent: bool = False,
    ) -> Delivery:
        """Send one new message; if Telegram cannot read its markup, send it as plain text.

        What is `urgent` may use the places that are kept free for codes.
        """

        pause = self._pause(chat_id)
        if pause is not None:
            return pause

        async def send(text: str, parse_mode: str | None, topic: int | None = thread_id) -> Message:
            await self._wait_turn(chat_id, urgent=urgent)
            try:
                return await self._bot.send_message(
                    chat_id,
                    text,
                    parse_mode=parse_mode,
                    reply_markup=keyboard,
                    message_thread_id=topic,
                    reply_parameters=_reply(reply_to),
                    link_preview_options=_NO_PREVIEW,
                )
            except BadRequest as error:
                if topic is None or "thread not found" not in error.message.casefold():
                    raise
            # The topic was deleted; its group is still there.
            return await send(text, parse_mode, None)

        return self._heed(chat_id, await _outcome(lambda: _with_plain_fallback(send, html)))

    async def edit(
        self, chat_id: int, message_id: int, html: str, keyboard: InlineKeyboardMarkup | None = None
    ) -> Delivery:
        """Change a message that was sent before."""
        pause = self._pause(chat_id)
        if pause is not None:
            return pause

        async def edit(text: str, parse_mode: str | None) -> Message | bool:
            await self._wait_turn(chat_id)
            return await self._bot.edit_message_text(
                text,
                chat_id,
                message_id,
                parse_mode=parse_mode,
                reply_markup=keyboard,
                link_preview_options=_NO_PREVIEW,
            )

        return self._heed(chat_id, await _outcome(lambda: _with_plain_fallback(edit, html)))

    async def photo(
        self,
        chat_id: int,
        picture: bytes,
        html: str,
        *,
        keyboard: InlineKeyboardMarkup | None = None,
        thread_id: int | None = None,
        reply_to: int | None = None,
    ) -> Delivery:
        """Send one picture with its caption of at most 1024 characters."""

        async def send(text: str, parse_mode: str | None) -> Message:
            await self._wait_turn(chat_id)
            return await self._bot.send_photo(
                chat_id,
                picture,
                text,
                filename="picture.png",
                parse_mode=parse_mode,
                reply_markup=keyboard,
                message_thread_id=thread_id,
                reply_parameters=_reply(reply_to),
            )

        return self._pause(chat_id) or self._heed(chat_id, await _outcome(lambda: _with_plain_fallback(send, html)))

    async def document(
        self,
        chat_id: int,
        name: str,
        content: bytes,
        html: str,
        *,
        thread_id: int | None = None,
        reply_to: int | None = None,
    ) -> Delivery:
        """Send one file under that name, with a caption of at most 1024 characters."""

        async def send(text: str, parse_mode: str | None) -> Message:
            await self._wait_turn(chat_id)
            return await self._bot.send_document(
                chat_id,
                content,
                text,
                filename=name,
                parse_mode=parse_mode,
                message_thread_id=thread_id,
                reply_parameters=_reply(reply_to),
            )

        return self._pause(chat_id) or self._heed(chat_id, await _outcome(lambda: _with_plain_fallback(send, html)))

    async def delete(self, chat_id: int, message_id: int) -> Delivery:
        """Take one of the bot's messages away for everyone; Telegram lets it for 48 hours."""
        pause = self._pause(chat_id)
        return pause or self._heed(chat_id, await _outcome(lambda: self._bot.delete_message(chat_id, message_id)))

    async def strip(self, chat_id: int, message_id: int) -> None:
        """Take the buttons off a message; if that fails, they are refused when pressed."""
        outcome = await _outcome(lambda: self._bot.edit_message_reply_markup(chat_id, message_id))
        if not isinstance(outcome, Delivered):
            log.info("the buttons of a message stay: %s", outcome)

    async def answer_press(self, callback_id: str, text: str | None = None, *, alert: bool = False) -> None:
        """Tell a person that their press was seen; too late is not worth an error."""
        try:
            await self._bot.answer_callback_query(callback_id, text, show_alert=alert)
        except TelegramError as error:
            log.info("a press was not answered: %s", error)

    def show_typing(self, chat_id: int, thread_id: int | None) -> None:
        """Show that something is on its way; a courtesy, for which nobody waits a round trip."""
        courtesy = asyncio.create_task(self._type(chat_id, thread_id), name="typing")
        self._courtesies.add(courtesy)
        courtesy.add_done_callback(self._courtesies.discard)

    async def _type(self, chat_id: int, thread_id: int | None) -> None:
        try:
            await self._bot.send_chat_action(chat_id, ChatAction.TYPING, message_thread_id=thread_id)
        except TelegramError as error:
            log.debug("no typing sign: %s", error)

    def _pause(self, chat_id: int) -> TryLater | None:
        """What to say while Telegram has asked for patience with a chat: nothing is sent, nobody is kept waiting."""
        left = self._pace(chat_id).paused_until - self._clock.monotonic()
        return TryLater(left, "Telegram has asked to wait", whole_chat=True) if left > 0 else None

    def _heed(self, chat_id: int, outcome: Delivery) -> Delivery:
        if isinstance(outcome, TryLater) and outcome.whole_chat:
            self._pace(chat_id).paused_until = self._clock.monotonic() + outcome.seconds
        return outcome

    def _pace(self, chat_id: int) -> _Pace:
        pace = self._chats.get(chat_id)
        if pace is None:
            if len(self._chats) >= _MOST_CHATS_REMEMBERED:
                self._chats.clear()
            pace = self._chats[chat_id] = _pace_of(chat_id)
        return pace

    async def _wait_turn(self, chat_id: int, *, urgent: bool = False) -> None:
        pace = self._pace(chat_id)
        while True:
            now = self._clock.monotonic()
            delay = max(pace.delay(now, urgent=urgent), self._overall.delay(now, urgent=urgent))
            if delay <= 0:
                pace.sent.append(now)
                self._overall.sent.append(now)
                return
            await self._clock.sleep(delay)


def _pace_of(chat_id: int) -> _Pace:
    if chat_id < 0:
        return _Pace(_GROUP_PER_MINUTE, _MORE_FOR_CODES["group"], 60.0)
    return _Pace(_PRIVATE_BURST, _MORE_FOR_CODES["private"], float(_PRIVATE_BURST))


def _reply(message_id: int | None) -> ReplyParameters | None:
    return ReplyParameters(message_id, allow_sending_without_reply=True) if message_id else None


async def _with_plain_fallback(send: Callable[[str, str | None], Awaitable[T]], html: str) -> T:
    """Markup that Telegram cannot read must not cost anybody a code."""
    try:
        return await send(html, "HTML")
    except BadRequest as error:
        if "parse entities" not in error.message.casefold():
            raise
        log.warning("Telegram cannot read our markup (%s); the message goes out plain", error)
        return await send(texts.plain(html), None)


async def _outcome(attempt: Callable[[], Awaitable[Message | bool]]) -> Delivery:
    """Run one call and say in the desk's own terms what became of it."""
    try:
        result = await attempt()
    except TelegramError as error:
        return classify(error)
    return Delivered(result.message_id if isinstance(result, Message) else None)


def classify(error: TelegramError) -> Delivery:
    """What an error of Telegram says about the message.

    A time-out may have delivered it. A refused connection, a 4xx and a 429 have not. Whatever is not understood may
    have.
    """
    if isinstance(error, RetryAfter):
        seconds = error.retry_after
        wait = seconds if isinstance(seconds, int) else seconds.total_seconds()
        return TryLater(max(1.0, float(wait)), "Telegram asks to wait", whole_chat=True)
    if isinstance(error, ChatMigrated):
        return Moved(error.new_chat_id)
    if isinstance(error, Forbidden):
        return Unreachable(error.message)
    if isinstance(error, BadRequest):
        return _classify_bad_request(error.message)
    if isinstance(error, TimedOut | NetworkError):
        return TryLater(1.0, type(error).__name__, may_have_arrived=_may_have_left(error))
    return TryLater(5.0, error.message, may_have_arrived=True)


def _classify_bad_request(message: str) -> Delivery:
    lowered = message.casefold()
    if "not modified" in lowered:
        return Delivered(None)
    if any(sign in lowered for sign in _UNREACHABLE):
        return Unreachable(message)
    return Rejected(message)


def _may_have_left(error: TelegramError) -> bool:
    """Whether the bytes may have reached Telegram: not if there was no connection at all."""
    cause = error.__cause__
    return type(cause).__name__ not in {"ConnectError", "ConnectTimeout", "PoolTimeout"}
