"""What a bot may hang under a message, checked as strictly as Telegram checks it."""

import json
from typing import Any
from urllib.parse import urlsplit

from bot.sandbox.telegram_errors import bad_request
from bot.sandbox.telegram_markup import utf16_length

_BUTTON_KINDS = (
    "callback_data",
    "copy_text",
    "url",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "callback_game",
    "pay",
)
_STYLES = {"primary", "success", "danger"}
_LONGEST_DATA = 64
_LONGEST_COPY = 256
_MOST_BUTTONS = 100
_MOST_PICKED = 10
_PRIVATE_ONLY = {
    "request_contact": "phone number can be requested in private chats only",
    "request_location": "location can be requested in private chats only",
    "request_poll": "poll can be requested in private chats only",
    "request_users": "users can be requested in private chats only",
    "request_chat": "chats can be requested in private chats only",
}
"""What a button may ask for only where nobody else presses it, and Telegram's words where it does so elsewhere."""


def parse_markup(raw: Any, *, private: bool = True) -> dict[str, Any] | None:
    """The reply markup of a call, or None where the call has none. `private` says what kind of chat it is for.

    Raises:
        ApiError: 400 for anything Telegram would refuse.
    """
    if raw in (None, "", {}):
        return None
    markup = _decode(raw)
    if "inline_keyboard" in markup:
        return {"inline_keyboard": _inline_rows(markup["inline_keyboard"])}
    if "keyboard" in markup:
        return {**markup, "keyboard": _reply_rows(markup["keyboard"], private=private)}
    return markup


def buttons_of(markup: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All inline buttons of a message, row by row."""
    return [button for row in (markup or {}).get("inline_keyboard", ()) for button in row]


def _decode(raw: Any) -> dict[str, Any]:
    try:
        markup = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        raise bad_request("can't parse reply keyboard markup JSON object") from None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    return markup


def _inline_rows(rows: Any) -> list[list[dict[str, Any]]]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    checked = [[_inline_button(button) for button in row] for row in rows if row]
    if sum(len(row) for row in checked) > _MOST_BUTTONS:
        raise bad_request("REPLY_MARKUP_TOO_LONG")
    return checked


def _inline_button(button: Any) -> dict[str, Any]:
    text = button.get("text") if isinstance(button, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise bad_request('can\'t parse inline keyboard button: Field "text" must be of type String')
    kinds = [kind for kind in _BUTTON_KINDS if kind in button]
    if not kinds:
        raise bad_request("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    if len(kinds) > 1:
        raise bad_request("can't parse inline keyboard button: exactly one kind of action must be given")
    _check_action(button)
    if "style" in button and button["style"] not in _STYLES:
        raise bad_request("can't parse inline keyboard button: invalid button style specified")
    return dict(button)


def _check_action(button: dict[str, Any]) -> None:
    data = button.get("callback_data")
    if data is not None and not (isinstance(data, str) and 1 <= len(data.encode()) <= _LONGEST_DATA):
        raise bad_request("BUTTON_DATA_INVALID")
    if "copy_text" in button:
        copied = button["copy_text"].get("text") if isinstance(button["copy_text"], dict) else None
        if not isinstance(copied, str) or not 1 <= utf16_length(copied) <= _LONGEST_COPY:
            raise bad_request("BUTTON_COPY_TEXT_INVALID")
    if "url" in button and not _openable(str(button["url"])):
        raise bad_request(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")


def _openable(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "tg" or (parts.scheme in {"http", "https"} and bool(parts.netloc))


def _reply_rows(rows: Any, *, private: bool) -> list[list[dict[str, Any]]]:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "keyboard" of the ReplyKeyboardMarkup must be an Array of Arrays')
    checked = [[_reply_button(button, private=private) for button in row] for row in rows]
    requests = [button["request_users"]["request_id"] for row in checked for button in row if "request_users" in button]
    if len(requests) != len(set(requests)):
        raise bad_request("can't parse keyboard button: request_id must be unique within the message")
    return checked


def _reply_button(button: Any, *, private: bool) -> dict[str, Any]:
    if isinstance(button, str):
        button = {"text": button}
    if not isinstance(button, dict) or not isinstance(button.get("text"), str):
        raise bad_request('can\'t parse keyboard button: Field "text" must be of type String')
    if not button["text"].strip():
        raise bad_request("keyboard button text must be non-empty")
    for kind, refusal in _PRIVATE_ONLY.items():
        if button.get(kind) and not private:
            raise bad_request(refusal)
    if "request_users" in button:
        return {**button, "request_users": _request_users(button["request_users"])}
    return dict(button)


def _request_users(request: Any) -> dict[str, Any]:
    """A KeyboardButtonRequestUsers, with the bounds of https://core.telegram.org/bots/api#keyboardbuttonrequestusers."""
    if not isinstance(request, dict):
        raise bad_request('can\'t parse keyboard button: Field "request_users" must be of type Object')
    number, quantity = request.get("request_id"), request.get("max_quantity", 1)
    if not _is_whole(number, -(2**31), 2**31 - 1):
        raise bad_request('can\'t parse keyboard button: Field "request_id" must be a valid Number')
    if not _is_whole(quantity, 1, _MOST_PICKED):
        raise bad_request('can\'t parse keyboard button: Field "max_quantity" must be from 1 to 10')
    for name in ("user_is_bot", "user_is_premium", "request_name", "request_username", "request_photo"):
        if not isinstance(request.get(name, False), bool):
            raise bad_request(f'can\'t parse keyboard button: Field "{name}" must be of type Boolean')
    return {**request, "max_quantity": quantity}


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def requests_of(markup: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Every request for users of a reply keyboard."""
    rows = (markup or {}).get("keyboard", ())
    return [button["request_users"] for row in rows for button in row if "request_users" in button]
