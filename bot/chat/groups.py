"""Being put into groups, and being thrown out of them."""

import logging

from telegram import Chat, ChatMember, Update

from bot.chat import texts
from bot.chat.gate import DeskContext
from bot.chat.sender import Sender
from bot.domain.access import Role
from bot.services import access
from bot.services.desk import Desk

log = logging.getLogger(__name__)

_OUT = (ChatMember.LEFT, ChatMember.BANNED)


class Groups:
    """An admin who adds the bot to a group means it to work there; added by anybody else, it says so and leaves."""

    def __init__(self, desk: Desk, sender: Sender) -> None:
        self._desk = desk
        self._sender = sender

    async def membership(self, update: Update, context: DeskContext) -> None:
        """The bot's own place in a group has changed."""
        del context
        change = update.my_chat_member
        if change is None or change.chat.type not in (Chat.GROUP, Chat.SUPERGROUP):
            return
        if change.new_chat_member.status in _OUT:
            await access.forget_chat(self._desk, change.from_user.id, change.chat.id)
            return
        if change.old_chat_member.status not in _OUT:
            return  # only its rights have changed
        member = await access.member(self._desk, change.from_user.id)
        if member is not None and member.role is Role.ADMIN:
            await access.allow_chat(self._desk, member.user_id, change.chat.id, change.chat.title or "")
            private = self._desk.settings.ordering.code_delivery == "dm"
            await self._sender.send(change.chat.id, texts.chats_allowed(change.chat.title or "", private_codes=private))
        elif await access.is_unknown(self._desk, change.chat.id):
            await self._sender.send(change.chat.id, texts.group_unknown())
            await self._sender.leave(change.chat.id)

    async def migration(self, update: Update, context: DeskContext) -> None:
        """A group has become a supergroup: Telegram says so in the old one and in the new one."""
        del context
        message = update.message
        if message is None:
            return
        if message.migrate_to_chat_id is not None:
            await access.move_chat(self._desk, message.chat_id, message.migrate_to_chat_id)
        elif message.migrate_from_chat_id is not None:
            await access.move_chat(self._desk, message.migrate_from_chat_id, message.chat_id)
