"""What people can do in the pretend Telegram; each act makes the updates a bot would get."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.telegram_errors import ApiError
from bot.sandbox.telegram_keyboards import requests_of
from bot.sandbox.telegram_markup import detect, trim, utf16_length
from bot.sandbox.telegram_state import (
    ANONYMOUS_ADMIN_ID,
    TELEGRAM_ID,
    CallbackQuery,
    Chat,
    Json,
    Message,
    User,
    WorldState,
)
from bot.sandbox.telegram_updates import Update

_LONGEST_TEXT = 4096
_TELEGRAM = User(TELEGRAM_ID, "Telegram")
_ANONYMOUS_ADMIN = User(ANONYMOUS_ADMIN_ID, "Group", "GroupAnonymousBot", is_bot=True)


class PersonError(ValueError):
    """A person cannot do that in Telegram."""


def _sayable(text: str) -> str:
    plain, _ = trim(text, [])
    if not plain:
        raise PersonError("a message needs a text")
    if utf16_length(plain) > _LONGEST_TEXT:
        raise PersonError(f"a message holds at most {_LONGEST_TEXT:,} characters")
    return plain


class PeopleWorld(WorldState):
    """The world with its people: they come, talk, press buttons, and throw the bot out."""

    def add_user(
        self,
        user_id: int,
        first_name: str,
        username: str | None = None,
        *,
        last_name: str | None = None,
        is_bot: bool = False,
        language_code: str = "en",
        role: str = "",
    ) -> User:
        """Add an account, and for a person the private chat with the bot, not yet started."""
        user = User(user_id, first_name, username, last_name, is_bot, language_code, role)
        self.users[user_id] = user
        if not is_bot:
            members = {user_id: "member", self.bot.id: "member"}
            self.chats[user_id] = Chat(user_id, "private", members=members)
        self.publish("reset")
        return user

    def add_chat(
        self,
        chat_id: int,
        title: str,
        *,
        type: str = "supergroup",  # noqa: A002 - the Bot API's own word
        members: Sequence[int] = (),
        creator: int | None = None,
        bot_status: str | None = None,
        is_forum: bool = False,
        username: str | None = None,
    ) -> Chat:
        """Add a group, supergroup or channel; the bot is in it only with a `bot_status`, and without an update."""
        chat = Chat(chat_id, type, title, username, is_forum, dict.fromkeys(members, "member"))
        if creator is not None:
            chat.members[creator] = "creator"
        if bot_status is not None:
            chat.members[self.bot.id] = bot_status
        self.chats[chat_id] = chat
        self.publish("reset")
        return chat

    def add_topic(self, chat_id: int, name: str, *, by: int) -> int:
        """Open a topic in a forum; returns its message thread id."""
        chat = self.chats[chat_id]
        content: Json = {
            "forum_topic_created": {"name": name, "icon_color": 0x6FB9F0},
            "is_topic_message": True,
        }
        message = self.put_message(chat, self.users[by], content)
        message.body["message_thread_id"] = message.message_id
        chat.topics[message.message_id] = name
        if chat.has(self.bot.id):
            self.updates.push("message", message.body)
        return message.message_id

    def open_forum(self, chat_id: int, topics: Sequence[str], *, by: int) -> None:
        """Turn a supergroup into a forum with these topics beside the general one."""
        self.chats[chat_id].is_forum = True
        for name in topics:
            self.add_topic(chat_id, name, by=by)
        self.publish("reset")

    def set_member(self, chat_id: int, user_id: int, status: str) -> None:
        """Change what somebody is in a chat: creator, administrator, member, restricted, left or kicked."""
        chat = self.chats[chat_id]
        before = chat.members.get(user_id, "left")
        chat.members[user_id] = status
        kind = "my_chat_member" if user_id == self.bot.id else "chat_member"
        self.updates.push(kind, self._member_change(chat, user_id, user_id, before, status))
        self.publish("reset")

    def say(
        self,
        user_id: int,
        text: str,
        chat_id: int | None = None,
        *,
        reply_to: int | None = None,
        thread_id: int | None = None,
        forward_origin: Mapping[str, Any] | int | None = None,
        via_bot: Mapping[str, Any] | None = None,
        sender_chat: int | None = None,
        is_automatic_forward: bool = False,
    ) -> Message:
        """Somebody sends a text, to the bot in private unless a chat is named.

        `forward_origin` is a MessageOrigin or the id of the user it came from; `sender_chat` is the group itself
        for an anonymous administrator, or a channel.

        Raises:
            PersonError: they are not in the chat, blocked the bot, or the text is empty or too long.
        """
        chat = self._open_chat(user_id, chat_id)
        plain = _sayable(text)
        content: Json = {"text": plain, **self._placed(chat, reply_to, thread_id)}
        entities = detect(plain, [])
        if entities:
            content["entities"] = entities
        if forward_origin is not None:
            content["forward_origin"] = self._origin(forward_origin)
        if via_bot is not None:
            content["via_bot"] = dict(via_bot)
        if is_automatic_forward:
            content["is_automatic_forward"] = True
        sender = self.users[user_id]
        if sender_chat is not None:
            content["sender_chat"] = self.chat_card(self.chats[sender_chat])
            sender = _ANONYMOUS_ADMIN if sender_chat == chat.id else _TELEGRAM
        return self._deliver(chat, sender, content)

    def send_contact(
        self, user_id: int, phone_number: str, *, of: int | None = None, outsider: str | None = None
    ) -> Message:
        """Somebody sends a contact to the bot: their own, somebody else's, or that of an `outsider` without account."""
        if outsider is not None:
            contact: Json = {"phone_number": phone_number, "first_name": outsider}
        else:
            owner = self.users[of if of is not None else user_id]
            contact = {"phone_number": phone_number, "first_name": owner.first_name, "user_id": owner.id}
            if owner.last_name:
                contact["last_name"] = owner.last_name
        return self._deliver(self._open_chat(user_id, None), self.users[user_id], {"contact": contact})

    def share_users(self, user_id: int, request_id: int, users: Sequence[int]) -> Message:
        """Somebody answers a button that asks for users; it tells only what the button asked for.

        Raises:
            PersonError: no such button is offered to them, it takes fewer users, or none of that kind.
        """
        chat = self._open_chat(user_id, None)
        request = next((found for found in requests_of(chat.keyboard) if found["request_id"] == request_id), None)
        if request is None:
            raise PersonError(f"no button asks {self.users[user_id].first_name} for users as request {request_id}")
        if not 1 <= len(set(users)) == len(users) <= request["max_quantity"]:
            raise PersonError(f"the button takes 1 to {request['max_quantity']} different users")
        shared = [self._shared(request, shared_id) for shared_id in users]
        return self._deliver(chat, self.users[user_id], {"users_shared": {"request_id": request_id, "users": shared}})

    def _shared(self, request: Json, user_id: int) -> Json:
        """The Bot API's SharedUser, as far as the button asked and the world knows."""
        user = self.users.get(user_id)
        if user is None:
            return {"user_id": user_id}
        if "user_is_bot" in request and request["user_is_bot"] != user.is_bot:
            raise PersonError(f"the button does not take {user.first_name}")
        asked = {"request_name": ("first_name", "last_name"), "request_username": ("username",)}
        known = user.as_json()
        names = [name for wish, fields in asked.items() if request.get(wish) for name in fields if name in known]
        return {"user_id": user_id, **{name: known[name] for name in names}}

    def edit(self, user_id: int, chat_id: int, message_id: int, text: str) -> Message:
        """Somebody edits their own message.

        Raises:
            PersonError: it is not theirs, it is gone, or the text is empty or too long.
        """
        message = self._visible(chat_id, message_id)
        if message.sender_id != user_id:
            raise PersonError("only the author edits a message")
        plain = _sayable(text)
        self.change_message(message, {"text": plain, "entities": detect(plain, []) or None})
        if self._bot_hears(self.chats[chat_id], message):
            self.updates.push("edited_message", message.body)
        return message

    def delete(self, user_id: int, chat_id: int, message_id: int) -> None:
        """Somebody deletes a message; a bot is not told.

        Raises:
            PersonError: it is neither theirs nor in their private chat.
        """
        message = self._visible(chat_id, message_id)
        if message.sender_id != user_id and chat_id != user_id:
            raise PersonError("only the author deletes a message here")
        self.remove_message(message)

    def press(self, user_id: int, chat_id: int, message_id: int, button: str, *, forged: bool = False) -> CallbackQuery:
        """Somebody presses an inline button, named by its text or its callback data.

        `forged` sends `button` as callback data although no such button is there, as a changed client can.

        Raises:
            PersonError: there is no such button at present, it calls nothing back, or they are not in the chat.
        """
        chat = self.chats[chat_id]
        data = button if forged else self._callback_data(user_id, chat_id, message_id, button)
        query = CallbackQuery(str(self.dice.getrandbits(60)), user_id, chat_id, message_id, data, self.now())
        self.queries[query.id] = query
        message = chat.messages.get(message_id)
        gone: Json = {"chat": self.chat_card(chat), "message_id": message_id, "date": 0}
        payload: Json = {
            "id": query.id,
            "from": self.users[user_id].as_json(),
            "message": gone if message is None or message.deleted_at is not None else message.body,
            "chat_instance": str(abs(chat_id)),
            "data": data,
        }
        self.updates.push("callback_query", payload)
        self.publish("pressed", chat_id=chat_id, message_id=message_id, query_id=query.id)
        return query

    def copy(self, user_id: int, chat_id: int, message_id: int, button: str) -> str:
        """What lands in the clipboard when somebody presses a copy button.

        Raises:
            PersonError: there is no such button at present, or it copies nothing.
        """
        found = self._button(user_id, chat_id, message_id, button)
        if "copy_text" not in found:
            raise PersonError(f"the button {button!r} copies nothing")
        return str(found["copy_text"]["text"])

    def react(self, user_id: int, chat_id: int, message_id: int, emoji: str) -> None:
        """Somebody reacts to a message; the bot hears it only if it asked for reactions."""
        message = self._visible(chat_id, message_id)
        before = list(message.reactions)
        message.reactions = [{"type": "emoji", "emoji": emoji}]
        payload: Json = {
            "chat": self.chat_card(self.chats[chat_id]),
            "message_id": message_id,
            "user": self.users[user_id].as_json(),
            "date": int(self.now()),
            "old_reaction": before,
            "new_reaction": message.reactions,
        }
        self.updates.push("message_reaction", payload)
        self.publish("edited", chat_id=chat_id, message_id=message_id)

    def channel_post(self, chat_id: int, text: str) -> Message:
        """A channel publishes a text."""
        channel = self.chats[chat_id]
        content: Json = {"from": None, "sender_chat": self.chat_card(channel), "text": text}
        message = self.put_message(channel, _TELEGRAM, content)
        if channel.has(self.bot.id):
            self.updates.push("channel_post", message.body)
        return message

    def add_bot_to_group(self, by: int, chat: int, *, status: str = "member") -> Update | None:
        """Somebody puts the bot into a group."""
        group = self.chats[chat]
        update = self._move_bot(by, group, status)
        self._service(group, self.users[by], {"new_chat_members": [self.bot.as_json()]})
        return update

    def remove_bot(self, by: int, chat: int) -> Update | None:
        """Somebody throws the bot out of a group or channel."""
        return self._move_bot(by, self.chats[chat], "kicked")

    def join(self, user_id: int, chat_id: int) -> None:
        """Somebody enters a group."""
        chat = self.chats[chat_id]
        self.set_member(chat_id, user_id, "member")
        user = self.users[user_id]
        self._service(chat, user, {"new_chat_members": [user.as_json()]})

    def leave(self, user_id: int, chat_id: int) -> None:
        """Somebody leaves a group."""
        user = self.users[user_id]
        self._service(self.chats[chat_id], user, {"left_chat_member": user.as_json()})
        self.set_member(chat_id, user_id, "left")

    def block(self, user_id: int) -> Update | None:
        """Somebody blocks the bot."""
        self.blocked_by.add(user_id)
        return self._move_bot(user_id, self.chats[user_id], "kicked")

    def unblock(self, user_id: int) -> Update | None:
        """Somebody lets the bot write again."""
        self.blocked_by.discard(user_id)
        return self._move_bot(user_id, self.chats[user_id], "member")

    def migrate(self, chat_id: int) -> Chat:
        """A group becomes a supergroup with a new id; the old id answers with `migrate_to_chat_id` from now on."""
        old = self.chats[chat_id]
        if old.type != "group":
            raise PersonError("only a basic group becomes a supergroup")
        new = Chat(-1_000_000_000_000 + chat_id, "supergroup", old.title, members=dict(old.members))
        self.chats[new.id] = new
        somebody = next(self.users[user_id] for user_id in old.members if user_id != self.bot.id)
        self._service(old, somebody, {"migrate_to_chat_id": new.id})
        self._service(new, somebody, {"migrate_from_chat_id": old.id})
        old.migrated_to = new.id
        self.publish("reset")
        return new

    def push_update(self, update: Mapping[str, Any]) -> Update:
        """Queue a raw update, however odd; without an `update_id` it gets the next one."""
        return self.updates.push_raw(dict(update))

    def redeliver(self, update_id: int) -> Update:
        """Hand a known update to the bot again, with the same id, confirmed or not.

        Raises:
            KeyError: there never was such an update.
        """
        return self.updates.redeliver(update_id)

    def _open_chat(self, user_id: int, chat_id: int | None) -> Chat:
        chat = self.chats[user_id if chat_id is None else chat_id]
        if not chat.has(user_id):
            raise PersonError(f"{self.users[user_id].first_name} is not in {chat.title or chat.id}")
        if chat.id in self.blocked_by:
            raise PersonError("a person who blocked the bot has to unblock it before writing")
        return chat

    def _visible(self, chat_id: int, message_id: int) -> Message:
        message = self.chats[chat_id].messages.get(message_id)
        if message is None or message.deleted_at is not None:
            raise PersonError(f"there is no message {message_id} in chat {chat_id}")
        return message

    def _button(self, user_id: int, chat_id: int, message_id: int, label: str) -> Json:
        if not self.chats[chat_id].has(user_id):
            raise PersonError(f"user {user_id} is not in chat {chat_id}")
        try:
            return self._visible(chat_id, message_id).button(label)
        except LookupError as error:
            raise PersonError(str(error)) from None

    def _callback_data(self, user_id: int, chat_id: int, message_id: int, label: str) -> str:
        found = self._button(user_id, chat_id, message_id, label)
        if "callback_data" not in found:
            raise PersonError(f"the button {label!r} calls nothing back")
        return str(found["callback_data"])

    def _placed(self, chat: Chat, reply_to: int | None, thread_id: int | None) -> Json:
        content: Json = {}
        if reply_to is not None:
            quoted = self._visible(chat.id, reply_to)
            content["reply_to_message"] = self.quoted(quoted)
            thread_id = thread_id if thread_id is not None else quoted.thread_id
        if thread_id is not None:
            if thread_id not in chat.topics:
                raise PersonError(f"there is no topic {thread_id} in chat {chat.id}")
            content |= {"message_thread_id": thread_id, "is_topic_message": True}
        return content

    def _origin(self, origin: Mapping[str, Any] | int) -> Json:
        if isinstance(origin, int):
            sender = self.users[origin].as_json()
            return {"type": "user", "sender_user": sender, "date": int(self.now()) - 60}
        return dict(origin)

    def _deliver(self, chat: Chat, sender: User, content: Json) -> Message:
        message = self.put_message(chat, sender, content)
        chat.started = True
        if self._bot_hears(chat, message):
            self.updates.push("message", message.body)
        return message

    def _service(self, chat: Chat, sender: User, content: Json) -> Message:
        message = self.put_message(chat, sender, content)
        if chat.has(self.bot.id):
            self.updates.push("message", message.body)
        return message

    def _bot_hears(self, chat: Chat, message: Message) -> bool:
        if not chat.has(self.bot.id):
            return False
        if not chat.is_group or not self.privacy or chat.members[self.bot.id] == "administrator":
            return True
        replied = message.body.get("reply_to_message", {}).get("from", {})
        return replied.get("id") == self.bot.id or self._addresses_bot(message)

    def _addresses_bot(self, message: Message) -> bool:
        name = f"@{self.bot.username}".lower()
        if any(mention.lower() == name for mention in message.entity_texts("mention")):
            return True
        commands = [command.lower() for command in message.entity_texts("bot_command")]
        return any("@" not in command or command.endswith(name) for command in commands)

    def _move_bot(self, by: int, chat: Chat, status: str) -> Update | None:
        before = chat.members.get(self.bot.id, "left")
        chat.members[self.bot.id] = status
        update = self.updates.push("my_chat_member", self._member_change(chat, by, self.bot.id, before, status))
        self.publish("reset")
        return update

    def _member_change(self, chat: Chat, by: int, user_id: int, before: str, after: str) -> Json:
        actor = self.users.get(by, self.bot)
        return {
            "chat": self.chat_card(chat),
            "from": actor.as_json(),
            "date": int(self.now()),
            "old_chat_member": self.member_card(user_id, before),
            "new_chat_member": self.member_card(user_id, after),
        }

    def member_card(self, user_id: int, status: str) -> Json:
        """The Bot API's ChatMember.

        Raises:
            ApiError: 400, the world knows no such user.
        """
        if user_id not in self.users:
            raise ApiError(400, "PARTICIPANT_ID_INVALID")
        card: Json = {"user": self.users[user_id].as_json(), "status": status}
        if status in {"creator", "administrator"}:
            card["is_anonymous"] = False
        if status == "administrator":
            card |= dict.fromkeys(_ADMINISTRATOR_RIGHTS, True) | {"can_be_edited": False}
        if status == "restricted":
            card |= dict.fromkeys(_RESTRICTED_RIGHTS, False) | {"is_member": True}
        if status in {"kicked", "restricted"}:
            card["until_date"] = 0
        return card


_ADMINISTRATOR_RIGHTS = (
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)
_RESTRICTED_RIGHTS = (
    "can_send_messages",
    "can_send_audios",
    "can_send_documents",
    "can_send_photos",
    "can_send_videos",
    "can_send_video_notes",
    "can_send_voice_notes",
    "can_send_polls",
    "can_send_other_messages",
    "can_add_web_page_previews",
    "can_react_to_messages",
    "can_edit_tag",
    "can_change_info",
    "can_invite_users",
    "can_pin_messages",
    "can_manage_topics",
)
