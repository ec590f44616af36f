"""The Bot API methods that write into a chat, with Telegram's rules for each."""

from typing import Any

from bot.sandbox.telegram_errors import ApiError, bad_request
from bot.sandbox.telegram_keyboards import parse_markup
from bot.sandbox.telegram_markup import Entity, detect, in_order, parse_html, trim, utf16_length
from bot.sandbox.telegram_params import Params, Upload
from bot.sandbox.telegram_pictures import picture_of
from bot.sandbox.telegram_state import Chat, Json, Message
from bot.sandbox.telegram_world import TelegramWorld

_LONGEST_TEXT = 4096
_LONGEST_CAPTION = 1024
_LONGEST_ANSWER = 200
_LARGEST_PHOTO = 10 * 1024 * 1024
_LARGEST_FILE = 50 * 1024 * 1024
_LONGEST_SIDES = 10_000
_LONGEST_RATIO = 20
_BOT_UNDOES_FOR_SECONDS = 48 * 3600
_NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same "
    "as a current content and reply markup of the message"
)
_ACTIONS = {
    "typing",
    "upload_photo",
    "record_video",
    "upload_video",
    "record_voice",
    "upload_voice",
    "upload_document",
    "choose_sticker",
    "find_location",
    "record_video_note",
    "upload_video_note",
}


def reachable_chat(world: TelegramWorld, params: Params) -> Chat:
    """The chat a call writes to.

    Raises:
        ApiError: the chat is unknown or has moved, or the bot may not write there.
    """
    chat = world.find_chat(params.chat())
    if chat.migrated_to is not None:
        raise bad_request("group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.migrated_to)
    if chat.type == "private":
        _check_private(world, chat)
    else:
        _check_membership(world, chat)
    return chat


def _check_private(world: TelegramWorld, chat: Chat) -> None:
    if world.users[chat.id].is_bot:
        raise ApiError(403, "bot can't send messages to bots")
    if chat.id in world.blocked_by:
        raise ApiError(403, "bot was blocked by the user")
    if not chat.started:
        raise ApiError(403, "bot can't initiate conversation with a user")


def _check_membership(world: TelegramWorld, chat: Chat) -> None:
    status = chat.members.get(world.bot.id, "left")
    kind = "group chat" if chat.type == "group" else f"{chat.type} chat"
    if status == "kicked":
        raise ApiError(403, f"bot was kicked from the {kind}")
    if status == "left":
        raise ApiError(403, f"bot is not a member of the {kind}")
    if status == "restricted":
        raise bad_request("not enough rights to send text messages to the chat")


def _formatted(world: TelegramWorld, source: str, parse_mode: str, given: Any) -> tuple[str, list[Entity]]:
    if parse_mode.lower() == "html":
        text, entities = parse_html(source)
    elif parse_mode:
        raise bad_request("unsupported parse_mode")
    else:
        text, entities = source, list(given or ())
    text, entities = trim(text, entities)
    resolved = [known for entity in entities if (known := _resolve_mention(world, entity)) is not None]
    return text, in_order([*resolved, *detect(text, resolved)])


def _resolve_mention(world: TelegramWorld, entity: Entity) -> Entity | None:
    if entity["type"] != "text_mention" or "user" in entity:
        return entity
    user = world.users.get(entity["user_id"])
    if user is None:
        return None
    kept = {key: value for key, value in entity.items() if key != "user_id"}
    return {**kept, "user": user.as_json()}


def _text_content(world: TelegramWorld, params: Params, *, too_long: str) -> Json:
    text, entities = _formatted(world, params.text("text"), params.text("parse_mode"), params.decoded("entities"))
    if not text:
        raise bad_request("message text is empty")
    if utf16_length(text) > _LONGEST_TEXT:
        raise bad_request(too_long)
    return {"text": text, "entities": entities} if entities else {"text": text}


def _caption_content(world: TelegramWorld, params: Params) -> Json:
    caption, entities = _formatted(
        world, params.text("caption"), params.text("parse_mode"), params.decoded("caption_entities")
    )
    if utf16_length(caption) > _LONGEST_CAPTION:
        raise bad_request("message caption is too long")
    content: Json = {"caption": caption} if caption else {}
    return {**content, "caption_entities": entities} if entities else content


def _place(world: TelegramWorld, chat: Chat, params: Params) -> Json:
    """Where in the chat a message goes: its topic, and what it replies to."""
    content: Json = {}
    thread_id = params.optional_integer("message_thread_id")
    reply = params.decoded("reply_parameters") or {}
    reply_to = reply.get("message_id", params.optional_integer("reply_to_message_id"))
    quoted = None if reply_to is None else chat.messages.get(int(reply_to))
    if quoted is not None and quoted.deleted_at is None:
        content["reply_to_message"] = world.quoted(quoted)
        thread_id = thread_id if thread_id is not None else quoted.thread_id
    elif reply_to is not None and not _may_miss(reply, params):
        raise bad_request("message to be replied not found")
    if thread_id is not None:
        if thread_id not in chat.topics:
            raise bad_request("message thread not found")
        content |= {"message_thread_id": thread_id, "is_topic_message": True}
    return content


def _may_miss(reply: Json, params: Params) -> bool:
    return bool(reply.get("allow_sending_without_reply")) or params.boolean("allow_sending_without_reply")


def _post(world: TelegramWorld, chat: Chat, params: Params, content: Json) -> Json:
    message = world.put_message(
        chat,
        world.bot,
        {**_place(world, chat, params), **content},
        markup=parse_markup(params.values.get("reply_markup"), private=chat.type == "private"),
        silent=params.boolean("disable_notification"),
    )
    return message.body


def send_message(world: TelegramWorld, params: Params) -> Json:
    """Say something."""
    chat = reachable_chat(world, params)
    return _post(world, chat, params, _text_content(world, params, too_long="message is too long"))


def send_document(world: TelegramWorld, params: Params) -> Json:
    """Send a file of at most 50 MB."""
    chat = reachable_chat(world, params)
    upload = _required_upload(params, "document", _LARGEST_FILE)
    document: Json = {
        **_store_file(world, upload),
        "file_name": upload.name,
        "mime_type": upload.content_type,
    }
    return _post(world, chat, params, {"document": document, **_caption_content(world, params)})


def send_photo(world: TelegramWorld, params: Params) -> Json:
    """Send a picture of at most 10 MB and 10,000 pixels in width plus height, one at most 20 times the other."""
    chat = reachable_chat(world, params)
    upload = _required_upload(params, "photo", _LARGEST_PHOTO)
    picture = picture_of(upload.content)
    if picture is None:
        raise bad_request("IMAGE_PROCESS_FAILED")
    sides = sorted((picture.width, picture.height))
    if sum(sides) > _LONGEST_SIDES or sides[1] > _LONGEST_RATIO * sides[0]:
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    photo: Json = {**_store_file(world, upload), "width": picture.width, "height": picture.height}
    return _post(world, chat, params, {"photo": [photo], **_caption_content(world, params)})


def _required_upload(params: Params, name: str, largest: int) -> Upload:
    upload = params.upload(name)
    if upload is None:
        raise bad_request(f"there is no {name} in the request")
    if not upload.content:
        raise bad_request("file must be non-empty")
    if len(upload.content) > largest:
        raise ApiError(413)
    return upload


def _store_file(world: TelegramWorld, upload: Upload) -> Json:
    file_id = f"file{len(world.files) + 1:06d}"
    world.files[file_id] = (upload.name, upload.content)
    return {"file_id": file_id, "file_unique_id": f"u{file_id}", "file_size": len(upload.content)}


def _own_message(chat: Chat, params: Params) -> Message:
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted_at is not None:
        raise bad_request("message to edit not found")
    if not message.from_bot:
        raise bad_request("message can't be edited")
    return message


def edit_message_text(world: TelegramWorld, params: Params) -> Json:
    """Replace the text and the buttons of a message of the bot."""
    message = _own_message(reachable_chat(world, params), params)
    if "text" not in message.body:
        raise bad_request("there is no text in the message to edit")
    content = _text_content(world, params, too_long="MESSAGE_TOO_LONG")
    changes = {**content, "entities": content.get("entities"), "reply_markup": _inline(params)}
    return _changed(world, message, changes)


def edit_message_reply_markup(world: TelegramWorld, params: Params) -> Json:
    """Replace the buttons of a message of the bot; none takes them away."""
    message = _own_message(reachable_chat(world, params), params)
    return _changed(world, message, {"reply_markup": _inline(params)})


def _inline(params: Params) -> Json | None:
    markup = parse_markup(params.values.get("reply_markup"))
    if markup is not None and "inline_keyboard" not in markup:
        raise bad_request("inline keyboard expected")
    return markup if markup and markup["inline_keyboard"] else None


def _changed(world: TelegramWorld, message: Message, changes: Json) -> Json:
    if all(message.body.get(key) == value for key, value in changes.items()):
        raise bad_request(_NOT_MODIFIED)
    world.change_message(message, changes)
    return message.body


def delete_message(world: TelegramWorld, params: Params) -> bool:
    """Take a message away for everyone."""
    chat = reachable_chat(world, params)
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted_at is not None:
        raise bad_request("message to delete not found")
    foreign = not message.from_bot and chat.type != "private"
    administers = chat.members.get(world.bot.id) == "administrator"
    too_old = world.now() - message.sent_at > _BOT_UNDOES_FOR_SECONDS
    if (foreign or too_old) and not administers:
        raise bad_request("message can't be deleted")
    world.remove_message(message)
    return True


def pin_chat_message(world: TelegramWorld, params: Params) -> bool:
    """Pin a message; in a group the bot has to be an administrator."""
    chat, message = _pinnable(world, params)
    if message.message_id in chat.pinned:
        chat.pinned.remove(message.message_id)
    chat.pinned.append(message.message_id)
    world.publish("pinned", chat_id=chat.id, message_id=message.message_id)
    return True


def unpin_chat_message(world: TelegramWorld, params: Params) -> bool:
    """Unpin a message, the latest one where none is named."""
    chat = reachable_chat(world, params)
    message_id = params.optional_integer("message_id") or (chat.pinned[-1] if chat.pinned else None)
    if message_id not in chat.pinned:
        raise bad_request("message to unpin not found")
    chat.pinned.remove(message_id)
    world.publish("pinned", chat_id=chat.id, message_id=message_id)
    return True


def _pinnable(world: TelegramWorld, params: Params) -> tuple[Chat, Message]:
    chat = reachable_chat(world, params)
    if chat.is_group and chat.members.get(world.bot.id) != "administrator":
        raise bad_request("not enough rights to manage pinned messages in the chat")
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted_at is not None:
        raise bad_request("message to pin not found")
    return chat, message


def set_message_reaction(world: TelegramWorld, params: Params) -> bool:
    """Put one reaction on a message, or none."""
    chat = reachable_chat(world, params)
    message = chat.messages.get(params.integer("message_id"))
    if message is None or message.deleted_at is not None:
        raise bad_request("message to react not found")
    reactions = params.decoded("reaction") or []
    if len(reactions) > 1 or any(reaction.get("type") != "emoji" for reaction in reactions):
        raise bad_request("REACTION_INVALID")
    message.reactions = reactions
    world.publish("edited", chat_id=chat.id, message_id=message.message_id)
    return True


def send_chat_action(world: TelegramWorld, params: Params) -> bool:
    """Show "typing" or the like for five seconds."""
    chat = reachable_chat(world, params)
    action = params.text("action")
    if action not in _ACTIONS:
        raise bad_request("wrong parameter action in request")
    world.publish("action", chat_id=chat.id, action=action)
    return True


def answer_callback_query(world: TelegramWorld, params: Params) -> bool:
    """Answer a press on a button: once, and in time."""
    query = world.queries.get(params.text("callback_query_id"))
    expired = query is not None and world.now() - query.at > world.callback_lifetime
    if query is None or query.answered or expired:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    text = params.text("text")
    if utf16_length(text) > _LONGEST_ANSWER:
        raise bad_request("MESSAGE_TOO_LONG")
    world.note_answer(query, text=text, show_alert=params.boolean("show_alert"), url=params.text("url") or None)
    return True
