"""A chat as lines of a terminal, printed while it happens."""

from typing import Final

from rich.console import Console
from rich.text import Text

from bot.sandbox.bot_api import Message, TelegramWorld
from bot.sandbox.telegram_state import Event

_SPEAKER_WIDTH: Final = 15
_WIDEST: Final = 100
_NARROWEST: Final = 20
_BOT_STYLE: Final = "bold cyan"
_PERSON_STYLES: Final = ("bold green", "bold yellow", "bold magenta", "bold blue")


class Transcript:
    """Prints what is said, pressed, edited and answered in the private chats of a world, each thing once."""

    def __init__(self, console: Console, telegram: TelegramWorld) -> None:
        self._console = console
        self._telegram = telegram
        self._shown = telegram.journal[-1].number if telegram.journal else 0

    def line(self, text: str, style: str = "") -> None:
        """Print a line that nobody said, after everything that was said before it."""
        self.catch_up()
        self._console.print(text, style=style, markup=False)

    async def follow(self) -> None:
        """Print what happens, when it happens, for ever."""
        while True:
            self.catch_up()
            await self._telegram.changed.wait(60.0)

    def catch_up(self) -> None:
        """Print what has happened since the last look."""
        for event in [event for event in self._telegram.journal if event.number > self._shown]:
            self._shown = event.number
            show = {"message": self._said, "edited": self._edited, "pressed": self._pressed, "answer": self._answered}
            # Groups are left out: a transcript of several chats at once cannot be followed.
            if event.kind in show and event.payload["chat_id"] > 0:
                show[event.kind](event)

    def _said(self, event: Event) -> None:
        message = self._message(event)
        body = Text(message.text)
        for code in message.entity_texts("code"):
            body.highlight_words([code], "bold")
        if message.button_texts:
            body.append("\n").append(_keys(message))
        if message.from_bot:
            self._row(self._bot_name(message.chat_id), _BOT_STYLE, body)
        else:
            self._row(self._name(message.sender_id), self._style(message.sender_id), body)

    def _edited(self, event: Event) -> None:
        message = self._message(event)
        before = message.history[-1].get("text") if message.history else None
        last_line = message.text.rstrip().rpartition("\n")[2]
        change = "(takes the buttons off)" if before == message.text else f"(changes its message) {last_line}"
        self._row(self._bot_name(message.chat_id), _BOT_STYLE, Text(change, "italic"))

    def _pressed(self, event: Event) -> None:
        query = self._telegram.queries[event.payload["query_id"]]
        label = _label(self._message(event), query.data)
        self._row(self._name(query.user_id), self._style(query.user_id), Text(f"presses [{label}]"))

    def _answered(self, event: Event) -> None:
        if event.payload["text"]:
            shown = Text(f"({event.payload['text']})", "italic")
            self._row(self._bot_name(event.payload["user_id"]), _BOT_STYLE, shown)

    def _row(self, speaker: str, style: str, body: Text) -> None:
        margin = Text(f"{speaker:>{_SPEAKER_WIDTH}}  ", style)
        width = max(min(self._console.width, _WIDEST) - len(margin), _NARROWEST)
        for part in body.wrap(self._console, width):
            line = margin + part
            line.rstrip()
            self._console.print(line, soft_wrap=True)
            margin = Text(" " * len(margin))

    def _message(self, event: Event) -> Message:
        return self._telegram.chats[event.payload["chat_id"]].messages[event.payload["message_id"]]

    def _name(self, user_id: int) -> str:
        return self._telegram.users[user_id].first_name

    def _bot_name(self, chat_id: int) -> str:
        name = f"{self._telegram.bot.first_name} → {self._name(chat_id)}"
        return name if len(name) <= _SPEAKER_WIDTH else f"→ {self._name(chat_id)}"

    def _style(self, user_id: int) -> str:
        return _PERSON_STYLES[user_id % len(_PERSON_STYLES)]


def _keys(message: Message) -> Text:
    return Text("  ").join(Text(f"[{label}]", "reverse") for label in message.button_texts)


def _label(message: Message, data: str) -> str:
    """What stood on the button that was pressed; the message may have lost its buttons since."""
    for body in (message.body, *reversed(message.history)):
        for row in body.get("reply_markup", {}).get("inline_keyboard", []):
            for button in row:
                if button.get("callback_data") == data:
                    return str(button["text"])
    return "a button"
