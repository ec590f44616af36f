"""The gate: the first look at every update, and the last one for most that should not be here.

It fails closed: an error in it stops the update. Rights are read from the database for each update, so a change takes
effect at the very next message or press.
"""

import logging
from typing import Any

from telegram import Chat, Message, MessageOriginUser, Update, User
from telegram.ext import ApplicationHandlerStop, CallbackContext, ExtBot

from bot.chat import keyboards, texts
from bot.chat.keyboards import Press
from bot.chat.menus import Menus
from bot.chat.sender import Sender
from bot.chat.visit import Chosen, Replied, Visit
from bot.domain.access import Member, Role
from bot.services import access
from bot.services.desk import Desk

log = logging.getLogger(__name__)

_TELEGRAM_SERVICE = 777000


class DeskContext(CallbackContext[ExtBot[None], dict[Any, Any], dict[Any, Any], dict[Any, Any]]):
    """PTB's context, carrying the visit that the gate has made of the update."""

    visit: Visit


class Gate:
    """Lets members through, tells a stranger once, and drops the rest without a word."""

    def __init__(self, desk: Desk, sender: Sender, menus: Menus) -> None:
        self._desk = desk
        self._sender = sender
        self._menus = menus

    async def __call__(self, update: Update, context: DeskContext) -> None:
        try:
            # A database that cannot be used is waited out: to turn a member away for it would lose their command.
            visit = await self._desk.patiently(lambda: self._admit(update, context.bot.id, context.bot.username))
        except Exception:
            log.exception("the gate stays shut for update %s", update.update_id)
            visit = None
        if visit is None:
            raise ApplicationHandlerStop
        context.visit = visit

    async def _admit(self, update: Update, bot_id: int, bot_name: str) -> Visit | None:
        user, message = _speaker(update)
        if user is None or message is None or message.chat.type not in _KNOWN_CHATS:
            return None
        member = await access.member(self._desk, user.id, user.full_name)
        if member is None:
            await self._turn_away(update, user, message)
            return None
        if message.chat.type != Chat.PRIVATE and not await self._works_in(message, member, update, bot_name):
            return None
        return self._visit(update, bot_id, member, message)

    def _visit(self, update: Update, bot_id: int, member: Member, message: Message) -> Visit:
        return Visit(
            desk=self._desk,
            sender=self._sender,
            menus=self._menus,
            member=member,
            key=f"{bot_id}-{update.update_id}",
            chat_id=message.chat_id,
            message_id=message.message_id,
            private=message.chat.type == Chat.PRIVATE,
            thread_id=_topic(message),
            text=_after_command(message) if update.message else "",
            replied=_replied(message) if update.message else None,
            chat_title=message.chat.title or "",
            callback_id=update.callback_query.id if update.callback_query else None,
            people=_chosen(message) if update.message else (),
        )

    async def _works_in(self, message: Message, member: Member, update: Update, bot_name: str) -> bool:
        """Whether the group is allowed; an admin's /chats always gets through, so that it can be.

        Told so by somebody who cannot change it, the bot leaves: it is there by mistake, or was forgotten there.
        """
        if await access.chat_allowed(self._desk, message.chat_id):
            return True
        if update.callback_query is not None:
            await self._sender.answer_press(update.callback_query.id, texts.group_not_allowed(), alert=True)
            return False
        command = _command_for(message, bot_name)
        if member.role is Role.ADMIN and command == "chats":
            return True
        if command:
            may_stay = member.role is Role.ADMIN or not await access.is_unknown(self._desk, message.chat_id)
            text = texts.group_not_allowed() if may_stay else texts.group_unknown()
            await self._sender.send(message.chat_id, text, thread_id=_topic(message))
            if not may_stay:
                await self._sender.leave(message.chat_id)
        return False

    async def _turn_away(self, update: Update, user: User, message: Message) -> None:
        """A stranger in a private chat gets one notice; the only thing they can do is ask to come in."""
        if message.chat.type != Chat.PRIVATE:
            return
        if update.callback_query is not None:
            await self._ask_access(update, user)
            return
        if not await access.may_notice(self._desk, user.id, user.full_name, _first_words(message)):
            return
        may_ask = self._desk.settings.access.allow_requests
        rows = [[Press("Ask for access", "ask_access")]] if may_ask else []
        keyboard = await keyboards.make(self._desk, user.id, rows)
        await self._sender.send(message.chat_id, texts.stranger(user.id, may_ask=may_ask), keyboard=keyboard)

    async def _ask_access(self, update: Update, user: User) -> None:
        query = update.callback_query
        if query is None or not self._desk.settings.access.allow_requests:
            return
        nonce = keyboards.nonce_of(query.data)
        button = await keyboards.find(self._desk, nonce) if nonce else None
        if button is None or button.action != "ask_access" or button.owner != user.id:
            return
        is_first = await access.ask(self._desk, user.id)
        await self._sender.answer_press(query.id, texts.asked() if is_first else texts.asked_already(), alert=True)


_KNOWN_CHATS = (Chat.PRIVATE, Chat.GROUP, Chat.SUPERGROUP)


def _speaker(update: Update) -> tuple[User | None, Message | None]:
    """Who speaks and in which message, if it is a person who wrote it here and now.

    Refused: edits, channel posts, business messages (they are other kinds of update), forwards, messages sent through
    another bot, and everything that speaks for a chat instead of a person (anonymous admins, linked channels).
    """
    if update.callback_query is not None:
        message = update.callback_query.message
        user: User | None = update.callback_query.from_user
        return (user, message) if isinstance(message, Message) and _is_person(user) else (None, None)
    message = update.message
    if message is None or not _is_person(message.from_user):
        return None, None
    indirect = (message.forward_origin, message.via_bot, message.sender_chat, message.is_automatic_forward)
    return (None, None) if any(indirect) else (message.from_user, message)


def _is_person(user: User | None) -> bool:
    return user is not None and not user.is_bot and user.id != _TELEGRAM_SERVICE


def _topic(message: Message) -> int | None:
    return message.message_thread_id if message.is_topic_message else None


def _command_for(message: Message, bot_name: str) -> str:
    """The command a message begins with, unless it names another bot; empty for none."""
    words = (message.text or "").split(maxsplit=1)
    name, _, addressee = (words[0] if words else "").casefold().partition("@")
    return name.removeprefix("/") if name.startswith("/") and addressee in ("", bot_name.casefold()) else ""


def _after_command(message: Message) -> str:
    """What was typed after the command's own word."""
    text = message.text or ""
    if not text.startswith("/"):
        return text
    parts = text.split(maxsplit=1)
    return parts[1] if len(parts) > 1 else ""


def _first_words(message: Message) -> str:
    """What a stranger has to say, if it is no command."""
    text = message.text or ""
    return "" if text.startswith("/") else " ".join(text.split())


def _chosen(message: Message) -> tuple[Chosen, ...]:
    """Who was shared in a message; a contact without an account on Telegram is nobody."""
    if message.users_shared is not None:
        return tuple(
            Chosen(user.user_id, " ".join(filter(None, (user.first_name, user.last_name))))
            for user in message.users_shared.users
        )
    contact = message.contact
    if contact is None or contact.user_id is None:
        return ()
    return (Chosen(contact.user_id, " ".join(filter(None, (contact.first_name, contact.last_name)))),)


def _replied(message: Message) -> Replied | None:
    original = message.reply_to_message
    # In a topic Telegram quotes the topic's beginning where nobody has replied to anything.
    if original is None or original.forum_topic_created is not None:
        return None
    user = original.from_user
    if original.forward_origin is not None:
        # Whoever passed a message on is not its author, and some authors hide.
        origin = original.forward_origin
        user = origin.sender_user if isinstance(origin, MessageOriginUser) else None
    is_person = _is_person(user)
    return Replied(
        original.message_id,
        user.id if user is not None and is_person else None,
        user.full_name if user is not None and is_person else "",
        _first_button(original),
    )


def _first_button(message: Message) -> str | None:
    buttons = [button for row in message.reply_markup.inline_keyboard for button in row] if message.reply_markup else []
    return next((str(button.callback_data) for button in buttons if button.callback_data), None)
