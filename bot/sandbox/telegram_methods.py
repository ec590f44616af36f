"""The Bot API methods by name, and those that ask about the bot, its menus and its chats."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bot.sandbox.telegram_errors import ApiError, bad_request
from bot.sandbox.telegram_params import Params
from bot.sandbox.telegram_sending import (
    answer_callback_query,
    delete_message,
    edit_message_reply_markup,
    edit_message_text,
    pin_chat_message,
    reachable_chat,
    send_chat_action,
    send_document,
    send_message,
    send_photo,
    set_message_reaction,
    unpin_chat_message,
)
from bot.sandbox.telegram_state import Chat, Json
from bot.sandbox.telegram_world import TelegramWorld

Method = Callable[[TelegramWorld, Params], Any]
MenuKey = tuple[str, int | None, int | None, str]

_COMMAND = re.compile(r"[a-z0-9_]{1,32}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST_COMMANDS = 100
_LONGEST_COMMAND_DESCRIPTION = 256
_WIDE_SCOPES = {"default", "all_private_chats", "all_group_chats", "all_chat_administrators"}
_CHAT_SCOPES = {"chat", "chat_administrators", "chat_member"}


def get_me(world: TelegramWorld, _params: Params) -> Json:
    """The bot itself."""
    return {
        **world.bot.as_json(),
        "can_join_groups": True,
        "can_read_all_group_messages": not world.privacy,
        "supports_inline_queries": False,
        "can_connect_to_business": False,
        "has_main_web_app": False,
        "has_topics_enabled": False,
        "allows_users_to_create_topics": False,
        "can_manage_bots": False,
    }


def set_webhook(world: TelegramWorld, params: Params) -> bool:
    """Have updates delivered to an address. Plain http is taken here, because the sandbox is loopback only."""
    url = params.text("url")
    if url and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    secret = params.text("secret_token")
    if secret and _SECRET.fullmatch(secret) is None:
        raise bad_request("secret token contains unallowed characters")
    if params.boolean("drop_pending_updates"):
        world.updates.drop_all()
    remember_allowed(world, params)
    world.webhook = {"url": url, "secret_token": secret, "max_connections": params.integer("max_connections", 40)}
    world.updates.changed.beat()
    return True


def delete_webhook(world: TelegramWorld, params: Params) -> bool:
    """Go back to getUpdates."""
    if params.boolean("drop_pending_updates"):
        world.updates.drop_all()
    world.webhook = {"url": ""}
    world.updates.changed.beat()
    return True


def get_webhook_info(world: TelegramWorld, _params: Params) -> Json:
    """Where updates go, how many wait, and what went wrong last."""
    info: Json = {
        **{key: value for key, value in world.webhook.items() if key != "secret_token"},
        "has_custom_certificate": False,
        "pending_update_count": len(world.updates.pending),
    }
    if world.updates.allowed:
        info["allowed_updates"] = list(world.updates.allowed)
    return info


def remember_allowed(world: TelegramWorld, params: Params) -> None:
    """Take over `allowed_updates` where a call has it; an empty list means the default again."""
    wanted = params.decoded("allowed_updates")
    if wanted is not None:
        world.updates.allowed = [str(kind) for kind in wanted] or None


def _menu_key(world: TelegramWorld, params: Params) -> MenuKey:
    scope = params.decoded("scope") or {"type": "default"}
    kind = scope.get("type")
    language = params.text("language_code")
    if kind in _WIDE_SCOPES:
        return kind, None, None, language
    if kind not in _CHAT_SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    chat = world.find_chat(scope.get("chat_id", ""))
    if chat.type == "private" and kind != "chat":
        raise bad_request("chat_id must be a group or supergroup chat for this scope")
    user_id = int(scope["user_id"]) if kind == "chat_member" else None
    return kind, chat.id, user_id, language


def set_my_commands(world: TelegramWorld, params: Params) -> bool:
    """Replace the menu of one scope and language."""
    commands = params.decoded("commands") or []
    if len(commands) > _MOST_COMMANDS:
        raise bad_request("BOT_COMMANDS_TOO_MUCH")
    for command in commands:
        if _COMMAND.fullmatch(command.get("command", "").removeprefix("/")) is None:
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(command.get("description", "")) <= _LONGEST_COMMAND_DESCRIPTION:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    world.menus[_menu_key(world, params)] = commands
    world.publish("menu")
    return True


def get_my_commands(world: TelegramWorld, params: Params) -> list[Json]:
    """The menu of one scope and language."""
    return world.menus.get(_menu_key(world, params), [])


def delete_my_commands(world: TelegramWorld, params: Params) -> bool:
    """Drop the menu of one scope and language."""
    world.menus.pop(_menu_key(world, params), None)
    world.publish("menu")
    return True


def set_my_description(world: TelegramWorld, params: Params) -> bool:
    """What an empty chat with the bot shows."""
    world.bot_description = _bounded(params.text("description"), 512, "BOT_DESCRIPTION_TOO_LONG")
    world.publish("menu")
    return True


def get_my_description(world: TelegramWorld, _params: Params) -> Json:
    """What an empty chat with the bot shows."""
    return {"description": world.bot_description}


def set_my_short_description(world: TelegramWorld, params: Params) -> bool:
    """What the bot's profile shows."""
    world.bot_short_description = _bounded(params.text("short_description"), 120, "BOT_SHORT_DESCRIPTION_TOO_LONG")
    return True


def get_my_short_description(world: TelegramWorld, _params: Params) -> Json:
    """What the bot's profile shows."""
    return {"short_description": world.bot_short_description}


def _bounded(text: str, longest: int, error: str) -> str:
    if len(text) > longest:
        raise bad_request(error)
    return text


def get_chat(world: TelegramWorld, params: Params) -> Json:
    """All about one chat."""
    chat = world.find_chat(params.chat())
    if chat.is_group:
        reachable_chat(world, params)
    info: Json = {
        **world.chat_card(chat),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": {
            "unlimited_gifts": False,
            "limited_gifts": False,
            "unique_gifts": False,
            "premium_subscription": False,
            "gifts_from_channels": False,
        },
    }
    if chat.pinned:
        info["pinned_message"] = chat.messages[chat.pinned[-1]].body
    return info


def get_chat_member(world: TelegramWorld, params: Params) -> Json:
    """What somebody is in a chat."""
    chat = reachable_chat(world, params)
    user_id = params.integer("user_id")
    return world.member_card(user_id, chat.members.get(user_id, "left"))


def get_chat_administrators(world: TelegramWorld, params: Params) -> list[Json]:
    """Who runs a group, other bots left out."""
    chat = _group(world, params)
    return [
        world.member_card(user_id, status)
        for user_id, status in chat.members.items()
        if status in {"creator", "administrator"} and (user_id == world.bot.id or not world.users[user_id].is_bot)
    ]


def leave_chat(world: TelegramWorld, params: Params) -> bool:
    """The bot goes."""
    chat = _group(world, params)
    world.set_member(chat.id, world.bot.id, "left")
    return True


def _group(world: TelegramWorld, params: Params) -> Chat:
    chat = reachable_chat(world, params)
    if chat.type == "private":
        raise bad_request("method is available only for groups, supergroups and channels")
    return chat


def get_file(world: TelegramWorld, params: Params) -> Json:
    """Where a file can be fetched."""
    file_id = params.text("file_id")
    if file_id not in world.files:
        raise bad_request("invalid file_id")
    name, content = world.files[file_id]
    return {
        "file_id": file_id,
        "file_unique_id": f"u{file_id}",
        "file_size": len(content),
        "file_path": f"documents/{file_id}/{name}",
    }


_METHODS: dict[str, Method] = {
    "getMe": get_me,
    "setWebhook": set_webhook,
    "deleteWebhook": delete_webhook,
    "getWebhookInfo": get_webhook_info,
    "sendMessage": send_message,
    "sendDocument": send_document,
    "sendPhoto": send_photo,
    "editMessageText": edit_message_text,
    "editMessageReplyMarkup": edit_message_reply_markup,
    "deleteMessage": delete_message,
    "pinChatMessage": pin_chat_message,
    "unpinChatMessage": unpin_chat_message,
    "setMessageReaction": set_message_reaction,
    "sendChatAction": send_chat_action,
    "answerCallbackQuery": answer_callback_query,
    "setMyCommands": set_my_commands,
    "getMyCommands": get_my_commands,
    "deleteMyCommands": delete_my_commands,
    "setMyDescription": set_my_description,
    "getMyDescription": get_my_description,
    "setMyShortDescription": set_my_short_description,
    "getMyShortDescription": get_my_short_description,
    "getChat": get_chat,
    "getChatMember": get_chat_member,
    "getChatAdministrators": get_chat_administrators,
    "leaveChat": leave_chat,
    "getFile": get_file,
}
_BY_LOWER_NAME = {name.lower(): method for name, method in _METHODS.items()}


def perform(world: TelegramWorld, method: str, params: Params) -> Any:
    """Carry out one call; names of methods are read without regard to case, as Telegram reads them.

    Raises:
        ApiError: Telegram would refuse the call; 404 for a method it does not know.
    """
    implementation = _BY_LOWER_NAME.get(method.lower())
    if implementation is None:
        raise ApiError(404)
    return implementation(world, params)
