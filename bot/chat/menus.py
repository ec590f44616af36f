"""The command menu behind the slash: each person sees only what they may use."""

import logging
from collections.abc import Callable, Iterable, Sequence

from telegram import Bot, BotCommand, BotCommandScopeChat, BotCommandScopeDefault
from telegram.error import TelegramError

from bot.domain.access import Member, Role

log = logging.getLogger(__name__)

Entry = tuple[str, str]


class Menus:
    """Keeps each member's menu in step with their role. `entries` gives name and summary for a role."""

    def __init__(self, bot: Bot, entries: Callable[[Role], Sequence[Entry]]) -> None:
        self._bot = bot
        self._entries = entries

    async def install(self, people: Iterable[Member]) -> None:
        """Show strangers nothing but the beginning, and every member their own."""
        await self._set([("start", "say hello")], BotCommandScopeDefault())
        for person in people:
            await self.show(person)

    async def show(self, member: Member) -> None:
        """Give a member the menu of their role."""
        await self._set(self._entries(member.role), BotCommandScopeChat(member.user_id))

    async def hide(self, user_id: int) -> None:
        """Take a former member's menu away."""
        try:
            await self._bot.delete_my_commands(BotCommandScopeChat(user_id))
        except TelegramError as error:
            log.info("the menu of %s stays: %s", user_id, error)

    async def _set(self, entries: Sequence[Entry], scope: BotCommandScopeChat | BotCommandScopeDefault) -> None:
        try:
            await self._bot.set_my_commands([BotCommand(name, summary) for name, summary in entries], scope)
        except TelegramError as error:
            # A person who has never written to the bot has no chat yet; their menu comes with their first /start.
            log.info("no menu for %s: %s", scope, error)
