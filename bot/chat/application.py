"""Telegram, put together: the bot, the gate, the handlers, and what the workers need of them."""

import asyncio
import contextlib
import difflib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from telegram import Update
from telegram.error import TelegramError
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    ChatMemberHandler,
    CommandHandler,
    ContextTypes,
    MessageHandler,
    TypeHandler,
    filters,
)

from bot.chat import failures, groups, keyboards, presses, texts
from bot.chat.commands import table
from bot.chat.connection import DeskBot, Note, in_our_terms, make_bot
from bot.chat.delivery import Deliverer
from bot.chat.gate import DeskContext, Gate
from bot.chat.menus import Menus
from bot.chat.sender import Sender
from bot.config import Telegram
from bot.domain.access import Role
from bot.domain.notices import Delivered, Delivery
from bot.pulse import TELEGRAM
from bot.services.desk import Desk

log = logging.getLogger(__name__)

Raw = Mapping[str, Any]
_UNKNOWN_BOT: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)
_Application = Application[DeskBot, DeskContext, dict[Any, Any], dict[Any, Any], dict[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Chat:
    """Telegram's face of the desk, as the workers see it."""

    application: _Application
    sender: Sender
    deliver: Deliverer
    menus: Menus
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def bot(self) -> DeskBot:
        """The bot behind it."""
        return self.application.bot

    async def fetch(self, offset: int | None) -> list[Raw]:
        """Ask Telegram for updates from `offset` on; asking for one confirms all before it.

        PTB's own `Updater` is not used: it confirms updates that are only in memory.

        Raises:
            ChatError: with what it means for the desk.
        """
        with _in_our_terms():
            await self._connect()
            updates = await self.bot.raw_updates(offset)
        return [update for update in updates if isinstance(update, dict)] if isinstance(updates, list) else []

    async def receive_at(self, url: str, secret: str) -> None:
        """Have Telegram bring updates to `url`, with `secret` in the header; what waits comes along.

        Raises:
            ChatError: it could not be told, or does not take the address.
        """
        with _in_our_terms():
            await self._connect()
            await self.bot.receive_at(url, secret)

    async def received_at(self) -> tuple[str, str]:
        """Where Telegram brings updates, empty for nowhere, and what went wrong there last, empty if nothing did.

        Raises:
            ChatError: it could not be asked.
        """
        with _in_our_terms():
            info = await self.bot.get_webhook_info()
        return info.url, info.last_error_message or ""

    async def receive_nowhere(self) -> None:
        """Have Telegram keep updates until they are asked for; none is dropped.

        Raises:
            ChatError: it could not be told.
        """
        with _in_our_terms():
            await self.bot.delete_webhook(drop_pending_updates=False)

    async def ask(self) -> None:
        """Ask Telegram for the least it can tell.

        Raises:
            ChatError: there is no answer, or none that helps.
        """
        with _in_our_terms():
            await self.bot.get_me()

    async def tell_directly(self, chat_ids: Sequence[int], text: str) -> bool:
        """Say something past the outbox, which the database carries; say whether it has reached anybody."""
        outcomes = [await self.sender.send(chat_id, text) for chat_id in chat_ids]
        log.warning("%d of %d admin chats were told directly", sum(map(_arrived, outcomes)), len(outcomes))
        return any(map(_arrived, outcomes))

    async def close(self) -> None:
        """Close the connections to Telegram."""
        await self.sender.close()
        if self.ready.is_set():
            await self.application.shutdown()
        else:
            await self.bot.close_connections()

    async def _connect(self) -> None:
        """Learn the bot's own name, once; commands that name a bot cannot be told apart without it."""
        if not self.ready.is_set():
            await self.application.initialize()
            self.ready.set()

    async def handle(self, raw: Raw) -> None:
        """Deal with one update to its end, once Telegram has been reached at all.

        Raises:
            ValueError: it cannot be read as an update at all.
        """
        await self.ready.wait()
        try:
            update = Update.de_json(dict(raw), self.bot)
        except Exception as error:  # PTB raises whatever the broken part makes it raise
            raise ValueError(f"not an update: {type(error).__name__}") from error
        await self.application.process_update(update)


@contextlib.contextmanager
def _in_our_terms() -> Iterator[None]:
    """Raise what Telegram says as what it means for the desk."""
    try:
        yield
    except TelegramError as error:
        raise in_our_terms(error) from error


def make_chat(desk: Desk, config: Telegram) -> Chat:
    """Build the bot and its handlers; nothing is sent yet."""
    application: _Application = (
        Application.builder()
        .bot(make_bot(config, _noting(desk)))
        .context_types(ContextTypes(context=DeskContext))
        .concurrent_updates(True)
        .updater(None)
        .job_queue(None)
        .build()
    )
    sender = Sender(application.bot, desk.clock)
    menus = Menus(application.bot, _menu)
    _add_handlers(application, Gate(desk, sender, menus), groups.Groups(desk, sender))
    return Chat(application, sender, Deliverer(desk, sender), menus)


def _noting(desk: Desk) -> Note:
    """Count each call, and take an answer for a sign of life unless it says that nobody knows this bot."""

    def note(method: str, status: int | None, seconds: float) -> None:
        desk.metrics.called_telegram(method, str(status or "none"), seconds)
        if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _UNKNOWN_BOT:
            desk.pulse.heard(TELEGRAM)

    return note


def _add_handlers(application: _Application, gate: Gate, in_groups: groups.Groups) -> None:
    """The handler table. The gate comes first and stops whatever may not go on."""
    application.add_handler(ChatMemberHandler(in_groups.membership, ChatMemberHandler.MY_CHAT_MEMBER), group=-2)
    application.add_handler(MessageHandler(filters.StatusUpdate.MIGRATE, in_groups.migration), group=-2)
    application.add_handler(TypeHandler(Update, gate), group=-1)
    for command in table.COMMANDS:
        application.add_handler(CommandHandler(command.name, _handler(command)))
    application.add_handler(CallbackQueryHandler(_press))
    shared = filters.ChatType.PRIVATE & (filters.StatusUpdate.USERS_SHARED | filters.CONTACT)
    application.add_handler(MessageHandler(shared, _handler(table.SHARED)))
    application.add_handler(MessageHandler(filters.COMMAND, _unknown_command))
    application.add_handler(MessageHandler(filters.TEXT & (filters.ChatType.PRIVATE | filters.REPLY), _plain_words))
    application.add_error_handler(_broken)


def _arrived(outcome: Delivery) -> bool:
    return isinstance(outcome, Delivered)


def _handler(command: table.Command) -> Any:
    async def handle(update: Update, context: DeskContext) -> None:
        del update
        await failures.run(command, context.visit)

    return handle


async def _press(update: Update, context: DeskContext) -> None:
    query = update.callback_query
    await presses.press(context.visit, query.data if query else None)


async def _unknown_command(update: Update, context: DeskContext) -> None:
    """A command that does not exist here; one that names another bot is none of ours."""
    word = ((update.message.text if update.message else None) or "").split(maxsplit=1)[0]
    name, _, addressee = word.removeprefix("/").partition("@")
    if addressee and addressee.casefold() != (context.bot.username or "").casefold():
        return
    if context.visit.private:
        mine = [command.name for command in table.for_role(context.visit.member.role)]
        near = difflib.get_close_matches(name.casefold(), mine, n=1)
        again = f"/{near[0]} {context.visit.text}".strip()[:60] if near else ""
        rows = [[keyboards.command(again, near[0], context.visit.text)]] if near else []
        await context.visit.answer(texts.unknown_command(name, near[0] if near else None), rows)


async def _plain_words(update: Update, context: DeskContext) -> None:
    """What was typed without a command: an answer to a page of the catalog narrows it, a name of it opens it."""
    del update
    await presses.words(context.visit)


async def _broken(update: object, context: DeskContext) -> None:
    log.error("an update could not be dealt with", exc_info=context.error)
    del update


def _menu(role: Role) -> list[tuple[str, str]]:
    return [(command.name, command.summary) for command in table.for_role(role)]
