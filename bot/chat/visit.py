"""One command or press, as the gate has let it through: who, where, what was typed, and how to answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from bot.chat import keyboards, texts
from bot.chat.menus import Menus
from bot.chat.sender import Sender
from bot.domain.access import Member, Role
from bot.domain.errors import NotPermitted
from bot.domain.notices import Delivered, Delivery, Notice, NoticeKind, TryLater, Urgency
from bot.services.desk import Desk
from storage import outbox
from storage.buttons import Facts


@dataclass(frozen=True, slots=True)
class Replied:
    """The message that a command replies to: who wrote it, and its number in the chat."""

    message_id: int
    user_id: int | None
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
        reply_to = None if self.private or self.callback_id else self.message_id
        outcome = await self.sender.send(
            self.chat_id, html, keyboard=keyboard, thread_id=self.thread_id, reply_to=reply_to
        )
        if not isinstance(outcome, Delivered):
            facts = {"html": html, "reply_to": reply_to, "keyboard": keyboard.to_json() if keyboard else None}
            await self._leave_to_courier(self.chat_id, self.thread_id, facts, outcome)

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

    async def typing(self) -> None:
        """Show that an answer is being worked on."""
        await self.sender.typing(self.chat_id, self.thread_id)
