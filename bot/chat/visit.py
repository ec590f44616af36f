"""One command or press, as the gate has let it through: who, where, what was typed, and how to answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Self

from telegram import InlineKeyboardMarkup, ReplyKeyboardMarkup, ReplyKeyboardRemove

from bot.chat import keyboards, texts
from bot.chat.menus import Menus
from bot.chat.sender import Sender
from bot.domain.access import Member, Role
from bot.domain.errors import NotPermitted
from bot.domain.notices import Delivered, Delivery, Notice, NoticeKind, TryLater, Urgency
from bot.services.desk import Desk
from storage import outbox
from storage.buttons import Facts

_PATIENCE: Final = 5.0
"""Seconds that a page waits for its turn."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The message that a command replies to: who wrote it, its number in the chat, what its first button holds."""

    message_id: int
    user_id: int | None
    name: str
    data: str | None = None


class AskedFirst(Exception):
    """A question was asked instead: nothing has been done, so whatever was pressed may be pressed again."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Somebody who was chosen in Telegram's picker or sent as a contact."""

    user_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Visit:
    """What a handler gets. `key` names the update for good: an order placed twice under one key is placed once."""

    desk: Desk
    sender: Sender
    menus: Menus
    member: Member
    key: str
    chat_id: int
    message_id: int
    private: bool
    thread_id: int | None = None
    text: str = ""
    replied: Replied | None = None
    chat_title: str = ""
    callback_id: str | None = None
    facts: Facts = field(default_factory=dict)
    people: tuple[Chosen, ...] = ()

    def with_text(self, text: str) -> Self:
        """The same visit, had that been typed after the command."""
        return replace(self, text=text)

    def require(self, needed: Role) -> None:
        """Raises NotPermitted if the member's role does not reach."""
        if not self.member.may(needed):
            raise NotPermitted(needed)

    async def answer(self, html: str, rows: Sequence[keyboards.Row] = ()) -> None:
        """Answer where the command came from; an answer that cannot leave now goes through the outbox."""
        keyboard = await keyboards.make(self.desk, self.member.user_id, rows)
        reply_to = self._reply_to
        outcome = await self.sender.send(
            self.chat_id, html, keyboard=keyboard, thread_id=self.thread_id, reply_to=reply_to
        )
        if not isinstance(outcome, Delivered):
            facts = {"html": html, "reply_to": reply_to, "keyboard": keyboard.to_json() if keyboard else None}
            await self._leave_to_courier(self.chat_id, self.thread_id, facts, outcome)

    async def answer_with_photo(self, picture: bytes | None, html: str, rows: Sequence[keyboards.Row] = ()) -> None:
        """Answer with a picture and what it means beneath; where it cannot be sent, with the words alone."""
        if picture is not None:
            keyboard = await keyboards.make(self.desk, self.member.user_id, rows)
            outcome = await self.sender.photo(
                self.chat_id, picture, html, keyboard=keyboard, thread_id=self.thread_id, reply_to=self._reply_to
            )
            if isinstance(outcome, Delivered):
                return
        await self.answer(html, rows)

    async def answer_with_file(self, name: str, content: bytes, html: str) -> None:
        """Answer with a file; where it cannot be sent, say so."""
        outcome = await self.sender.document(
            self.chat_id, name, content, html, thread_id=self.thread_id, reply_to=self._reply_to
        )
        if not isinstance(outcome, Delivered):
            await self.answer(texts.file_not_sent(name))

    async def replace(self, html: str, rows: Sequence[keyboards.Row] = ()) -> None:
        """Answer a press by turning its message into another one; what is not a press gets a new message."""
        if self.callback_id is not None:
            keyboard = await keyboards.make(self.desk, self.member.user_id, rows)
            if isinstance(await self._edit_patiently(html, keyboard), Delivered):
                return
        await self.answer(html, rows)

    async def _edit_patiently(self, html: str, keyboard: InlineKeyboardMarkup | None) -> Delivery:
        """Whoever turns pages faster than Telegram likes gets the page a moment later, not as one more message."""
        outcome = await self.sender.edit(self.chat_id, self.message_id, html, keyboard)
        if isinstance(outcome, TryLater) and outcome.seconds <= _PATIENCE:
            await self.desk.clock.sleep(outcome.seconds)
            outcome = await self.sender.edit(self.chat_id, self.message_id, html, keyboard)
        return outcome

    @property
    def _reply_to(self) -> int | None:
        return None if self.private or self.callback_id else self.message_id

    async def answer_below(self, html: str, keyboard: ReplyKeyboardMarkup | ReplyKeyboardRemove) -> None:
        """Answer in a private chat and change what is offered below the place to type; for courtesies only."""
        outcome = await self.sender.send(self.chat_id, html, keyboard=keyboard)
        if not isinstance(outcome, Delivered):
            await self._leave_to_courier(self.chat_id, self.thread_id, {"html": html}, outcome)

    async def tell(self, user_id: int, html: str) -> bool:
        """Write to somebody in private; say whether they can be written to at all."""
        outcome = await self.sender.send(user_id, html)
        if isinstance(outcome, TryLater):
            await self._leave_to_courier(user_id, None, {"html": html}, outcome)
        return isinstance(outcome, Delivered | TryLater)

    async def _leave_to_courier(self, chat_id: int, thread_id: int | None, facts: Facts, outcome: Delivery) -> None:
        key = f"answer:{self.key}:{chat_id}:{self.desk.now}"
        notice = Notice(
            NoticeKind.TEXT, chat_id, key, thread_id=thread_id, urgency=Urgency.TALK, facts=facts, command=self.key
        )
        may_have_arrived = isinstance(outcome, TryLater) and outcome.may_have_arrived
        await self.desk.transact(
            lambda connection: outbox.put(connection, notice, self.desk.now, repeated=may_have_arrived)
        )

    async def toast(self, text: str | None = None, *, alert: bool = False) -> None:
        """Answer the press, if this is one; an `alert` has to be tapped away."""
        if self.callback_id is not None:
            await self.sender.answer_press(self.callback_id, texts.plain(text) if text else None, alert=alert)

    def show_typing(self) -> None:
        """Show that an answer is being worked on."""
        self.sender.show_typing(self.chat_id, self.thread_id)
