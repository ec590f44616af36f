"""The pretend Telegram as tests and the demo hold it in their hands."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bot.sandbox.telegram_people import PeopleWorld
from bot.sandbox.telegram_state import Message

DEFAULT_TOKEN = "7100000001:AAsandbox_token_that_opens_nothing"  # noqa: S105 - opens only the sandbox
TEAM_CHAT = -1001700000001
"""The demo's team group."""
ADA, OMAR, SAM = 1001, 1002, 1003
"""The demo's people: an admin, an operator, a stranger."""

_TRANSCRIPT_LENGTH = 30


class TelegramWorld(PeopleWorld):
    """All of Telegram that one bot can see.

    `now` gives Unix time in seconds; `seed` decides ids and random faults; `privacy` is the bot's group privacy
    mode; `flood_limits` turns Telegram's sending limits on; `callback_lifetime` is how many seconds a press can
    be answered. `down = True` resets every connection of the bot; `distance` is how many real seconds each of its
    calls but `getUpdates` needs to get here. One event loop may use a world.
    """

    def __init__(
        self,
        *,
        token: str = DEFAULT_TOKEN,
        bot_username: str = "otpdesk_bot",
        bot_name: str = "OTP desk",
        now: Callable[[], float] = time.time,
        seed: int = 0,
        privacy: bool = True,
        flood_limits: bool = False,
        callback_lifetime: float = 60.0,
    ) -> None:
        super().__init__(
            token=token,
            bot_username=bot_username,
            bot_name=bot_name,
            now=now,
            seed=seed,
            privacy=privacy,
            flood_limits=flood_limits,
            callback_lifetime=callback_lifetime,
        )

    async def wait_for(
        self,
        wanted: Callable[[Message], bool] | str,
        chat_id: int,
        timeout: float = 5.0,  # noqa: ASYNC109 - the name every test expects
        after_message_id: int | None = None,
    ) -> Message:
        """The bot's first message in the chat that holds a text or satisfies a predicate, in its present form.

        Waits in real time, whatever `now` says. `after_message_id` skips that message and all before it.

        Raises:
            AssertionError: none came in time; the message shows the chat.
        """

        def find() -> Message | None:
            return self._find(wanted, chat_id, after_message_id)

        await self.wait_until(lambda: find() is not None, timeout, described=f"{wanted!r}", chat_id=chat_id)
        found = find()
        assert found is not None  # noqa: S101 - wait_until has just seen it
        return found

    async def wait_until(
        self,
        condition: Callable[[], bool],
        timeout: float = 5.0,  # noqa: ASYNC109 - as in wait_for
        *,
        described: str = "the condition",
        chat_id: int | None = None,
    ) -> None:
        """Wait in real time until a condition of this world holds.

        Raises:
            AssertionError: it did not hold in time.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        while not condition():
            if not await self.changed.wait(deadline - clock()) and not condition():
                shown = "" if chat_id is None else f"\n{self.transcript(chat_id)}"
                raise AssertionError(f"waited {timeout} s in vain for {described}{shown}")

    def transcript(self, chat_id: int) -> str:
        """The last messages of a chat, one a paragraph, with their buttons, edits and deletions."""
        chat = self.chats[chat_id]
        messages = list(chat.messages.values())[-_TRANSCRIPT_LENGTH:]
        title = chat.title or self.users[chat_id].first_name
        lines = [self._transcript_line(message) for message in messages] or ["(nothing was said)"]
        return "\n".join([f"--- chat {chat_id}, {title} ---", *lines])

    def _find(
        self, wanted: Callable[[Message], bool] | str, chat_id: int, after_message_id: int | None
    ) -> Message | None:
        for message in self.chats[chat_id].visible():
            if not message.from_bot or message.message_id <= (after_message_id or 0):
                continue
            if wanted in message.text if isinstance(wanted, str) else wanted(message):
                return message
        return None

    def _transcript_line(self, message: Message) -> str:
        sender = self.users.get(message.sender_id)
        name = sender.first_name if sender is not None else str(message.sender_id)
        at = datetime.fromtimestamp(message.sent_at, UTC).strftime("%H:%M:%S")
        marks = [
            mark
            for mark, holds in (
                ("edited", message.edited_at is not None),
                ("deleted", message.deleted_at is not None),
                ("silent", message.silent),
            )
            if holds
        ]
        shown = f" ({', '.join(marks)})" if marks else ""
        buttons = "".join(f" [{text}]" for text in message.button_texts)
        said = message.text or ", ".join(key for key in message.body if key not in _ENVELOPE)
        return f"#{message.message_id} {at} {name}{shown}: {said}{buttons}"


_ENVELOPE = {"message_id", "from", "chat", "date", "edit_date", "reply_markup"}


def demo_cast(world: TelegramWorld) -> TelegramWorld:
    """Fill a world with the demo's people and their team group, which Ada has put the bot into."""
    world.add_user(ADA, "Ada", "ada_qa", role="admin")
    world.add_user(OMAR, "Omar", "omar_qa", role="operator")
    world.add_user(SAM, "Sam", "sam_elsewhere", role="stranger")
    world.add_chat(TEAM_CHAT, "QA team", members=(ADA, OMAR, SAM), creator=ADA)
    world.add_bot_to_group(ADA, TEAM_CHAT)
    return world
