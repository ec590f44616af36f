"""What the pretend Telegram knows: people, chats, messages, menus, calls. No network and no clock of its own."""

import copy
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bot.sandbox.telegram_errors import bad_request
from bot.sandbox.telegram_faults import Fault, FaultPlan
from bot.sandbox.telegram_keyboards import buttons_of
from bot.sandbox.telegram_limits import FloodGate
from bot.sandbox.telegram_updates import Pulse, UpdateQueue

Json = dict[str, Any]

TELEGRAM_ID = 777000
"""Telegram's own account, the sender of what a linked channel forwards into its group."""
ANONYMOUS_ADMIN_ID = 1087968824
"""GroupAnonymousBot, the sender of what an administrator says in the name of the group."""

_JOURNAL_LENGTH = 5000
PRESENT = frozenset({"creator", "administrator", "member", "restricted"})
"""The states of a member who is in the chat."""


@dataclass(slots=True)
class User:
    """An account. `role` is a word for the chat page; the Bot API never shows it."""

    id: int
    first_name: str
    username: str | None = None
    last_name: str | None = None
    is_bot: bool = False
    language_code: str = "en"
    role: str = ""

    def as_json(self) -> Json:
        """The Bot API's User."""
        body: Json = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        if self.last_name:
            body["last_name"] = self.last_name
        if self.username:
            body["username"] = self.username
        if not self.is_bot:
            body["language_code"] = self.language_code
        return body


@dataclass(slots=True)
class Message:
    """One message of a chat. `body` is its present Bot API form; `history` holds the forms before each edit."""

    message_id: int
    chat_id: int
    sender_id: int
    from_bot: bool
    sent_at: float
    body: Json
    markup: Json | None = None
    silent: bool = False
    edited_at: float | None = None
    deleted_at: float | None = None
    history: list[Json] = field(default_factory=list)
    reactions: list[Json] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text, or the caption of a file, or nothing."""
        return str(self.body.get("text", self.body.get("caption", "")))

    @property
    def entities(self) -> list[Json]:
        """The entities of the text or of the caption."""
        found: list[Json] | None = self.body.get("entities") or self.body.get("caption_entities")
        return list(found or ())

    @property
    def thread_id(self) -> int | None:
        """The topic of a forum the message is in."""
        return self.body.get("message_thread_id")

    @property
    def buttons(self) -> list[Json]:
        """The inline buttons on it at present, row by row."""
        return buttons_of(self.body.get("reply_markup"))

    @property
    def button_texts(self) -> list[str]:
        """The labels of the inline buttons."""
        return [button["text"] for button in self.buttons]

    def button(self, label: str) -> Json:
        """The first inline button with this label, with a label that holds it, or with this callback data.

        Raises:
            LookupError: there is none at present.
        """
        tests: tuple[Callable[[Json], bool], ...] = (
            lambda button: label in (button["text"], button.get("callback_data")),
            lambda button: label in button["text"],
        )
        for test in tests:
            for button in self.buttons:
                if test(button):
                    return button
        raise LookupError(f"no button {label!r} on message {self.message_id}; there are {self.button_texts}")

    def entity_texts(self, kind: str) -> list[str]:
        """The pieces of text one kind of entity covers."""
        units = self.text.encode("utf-16-le")
        return [
            units[2 * entity["offset"] : 2 * (entity["offset"] + entity["length"])].decode("utf-16-le")
            for entity in self.entities
            if entity["type"] == kind
        ]


@dataclass(slots=True)
class Chat:
    """A chat and all that was said in it. The id of a private chat is the id of the person."""

    id: int
    type: str
    title: str = ""
    username: str | None = None
    is_forum: bool = False
    members: dict[int, str] = field(default_factory=dict)
    topics: dict[int, str] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    pinned: list[int] = field(default_factory=list)
    keyboard: Json | None = None
    started: bool = False
    migrated_to: int | None = None

    @property
    def is_group(self) -> bool:
        """Whether several people talk here."""
        return self.type in {"group", "supergroup"}

    def has(self, user_id: int) -> bool:
        """Whether this account is in the chat."""
        return self.members.get(user_id) in PRESENT

    def visible(self) -> list[Message]:
        """The messages that are still there, oldest first."""
        return [message for message in self.messages.values() if message.deleted_at is None]


@dataclass(slots=True)
class CallbackQuery:
    """A press on a button, and whether the bot answered it."""

    id: str
    user_id: int
    chat_id: int
    message_id: int
    data: str
    at: float
    answered: bool = False


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What the bot answered to a press."""

    query_id: str
    user_id: int
    chat_id: int
    text: str
    show_alert: bool
    url: str | None
    at: float


@dataclass(slots=True)
class ApiCall:
    """One call of the bot. `outcome` is `ok`, the refusal, or the name of the fault it met; times are the world's."""

    method: str
    params: Json
    chat_id: int | None
    at: float
    outcome: str = "running"
    finished_at: float | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A change the chat page hears of."""

    number: int
    kind: str
    payload: Json


class WorldState:
    """Everything that is, with the few steps all changes share."""

    def __init__(
        self,
        *,
        token: str,
        bot_username: str,
        bot_name: str,
        now: Callable[[], float],
        seed: int,
        privacy: bool,
        flood_limits: bool,
        callback_lifetime: float,
    ) -> None:
        self.token = token
        self.now = now
        self.privacy = privacy
        self.callback_lifetime = callback_lifetime
        self.down = False
        self.distance = 0.0
        self.bot = User(int(token.partition(":")[0]), bot_name, bot_username, is_bot=True)
        self.bot_description = ""
        self.bot_short_description = ""
        self.dice = Random(seed)  # noqa: S311 - a repeatable world, not a secret
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.chats: dict[int, Chat] = {}
        self.blocked_by: set[int] = set()
        self.menus: dict[tuple[str, int | None, int | None, str], list[Json]] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.changed = Pulse()
        self.updates = UpdateQueue(self.dice.randrange(100_000_000, 900_000_000), self.changed)
        self.queries: dict[str, CallbackQuery] = {}
        self.callback_answers: list[CallbackAnswer] = []
        self.calls: list[ApiCall] = []
        self.plan = FaultPlan(self.dice)
        self.flood_gate: FloodGate | None = FloodGate() if flood_limits else None
        self.webhook: Json = {"url": ""}
        self.journal: deque[Event] = deque(maxlen=_JOURNAL_LENGTH)
        self._event_numbers = itertools.count(1)
        self._account_message_ids = itertools.count(self.dice.randrange(1, 500))

    def fault(self, *faults: Fault) -> None:
        """Queue faults behind those already queued."""
        self.plan.scripted.extend(faults)

    def chat(self, chat_id: int) -> Chat:
        """A chat the world knows.

        Raises:
            KeyError: it knows none of this id.
        """
        return self.chats[chat_id]

    def find_chat(self, wanted: int | str) -> Chat:
        """The chat a bot names by id or by @username.

        Raises:
            ApiError: 400, "chat not found".
        """
        for chat in self.chats.values():
            if chat.id == wanted or (chat.username and f"@{chat.username}".lower() == str(wanted).lower()):
                return chat
        raise bad_request("chat not found")

    def chat_card(self, chat: Chat) -> Json:
        """The Bot API's Chat."""
        card: Json = {"id": chat.id, "type": chat.type}
        if chat.type == "private":
            user = self.users[chat.id].as_json()
            return card | {key: user[key] for key in ("first_name", "last_name", "username") if key in user}
        card["title"] = chat.title
        if chat.username:
            card["username"] = chat.username
        if chat.is_forum:
            card["is_forum"] = True
        return card

    def publish(self, kind: str, **payload: Any) -> None:
        """Tell the page and everyone who waits that something changed."""
        self.journal.append(Event(next(self._event_numbers), kind, payload))
        self.changed.beat()

    def next_message_id(self, chat: Chat) -> int:
        """Supergroups and channels count for themselves; all other chats share the account's counter."""
        if chat.type in {"supergroup", "channel"}:
            return len(chat.messages) + 1
        return next(self._account_message_ids)

    def put_message(
        self, chat: Chat, sender: User, content: Json, *, markup: Json | None = None, silent: bool = False
    ) -> Message:
        """Add a message to a chat. `content` is all of its body but the id, the sender, the chat and the date."""
        at = self.now()
        number = self.next_message_id(chat)
        body: Json = {
            "message_id": number,
            "from": sender.as_json(),
            "chat": self.chat_card(chat),
            "date": int(at),
            **content,
        }
        if markup is not None and "inline_keyboard" in markup:
            body["reply_markup"] = markup
        if body.get("from") is None:
            del body["from"]
        message = Message(number, chat.id, sender.id, sender.id == self.bot.id, at, body, markup=markup, silent=silent)
        chat.messages[number] = message
        if markup is not None and ("keyboard" in markup or markup.get("remove_keyboard")):
            chat.keyboard = markup if "keyboard" in markup else None
        self.publish("message", chat_id=chat.id, message_id=number)
        return message

    def change_message(self, message: Message, changes: Json) -> None:
        """Edit a message; a value of None removes the field."""
        message.history.append(copy.deepcopy(message.body))
        message.edited_at = self.now()
        merged = {**message.body, **changes, "edit_date": int(message.edited_at)}
        message.body = {key: value for key, value in merged.items() if value is not None}
        self.publish("edited", chat_id=message.chat_id, message_id=message.message_id)

    def remove_message(self, message: Message) -> None:
        """Delete a message for everyone; the history keeps it."""
        message.deleted_at = self.now()
        self.publish("deleted", chat_id=message.chat_id, message_id=message.message_id)

    def note_answer(self, query: CallbackQuery, *, text: str, show_alert: bool, url: str | None) -> None:
        """Record what the bot answered to a press."""
        query.answered = True
        answer = CallbackAnswer(query.id, query.user_id, query.chat_id, text, show_alert, url, self.now())
        self.callback_answers.append(answer)
        self.publish(
            "answer",
            query_id=query.id,
            user_id=query.user_id,
            chat_id=query.chat_id,
            text=text,
            show_alert=show_alert,
            url=url,
        )

    def quoted(self, message: Message) -> Json:
        """A message as another one quotes it: without what it replies to itself."""
        return {key: value for key, value in message.body.items() if key != "reply_to_message"}

    def menu_for(self, user_id: int, chat_id: int) -> list[Json]:
        """The commands this person is offered in this chat: the narrowest scope that has any, their language first."""
        chat = self.chats[chat_id]
        language = self.users[user_id].language_code
        for scope, scope_chat, scope_user in self._menu_scopes(chat, user_id):
            for code in (language, ""):
                menu = self.menus.get((scope, scope_chat, scope_user, code))
                if menu:
                    return menu
        return []

    def _menu_scopes(self, chat: Chat, user_id: int) -> list[tuple[str, int | None, int | None]]:
        if chat.type == "private":
            return [("chat", chat.id, None), ("all_private_chats", None, None), ("default", None, None)]
        administers = chat.members.get(user_id) in {"creator", "administrator"}
        scopes: list[tuple[str, int | None, int | None]] = [("chat_member", chat.id, user_id)]
        if administers:
            scopes.append(("chat_administrators", chat.id, None))
        scopes.append(("chat", chat.id, None))
        if administers:
            scopes.append(("all_chat_administrators", None, None))
        return [*scopes, ("all_group_chats", None, None), ("default", None, None)]
