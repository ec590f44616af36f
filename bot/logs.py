"""What is written about the work: structured lines without secrets.

Secrets are taken out last, of every value that a finished line would hold, so that no library and no traceback can
bring one in by another way. Tokens are known from the start; numbers, codes and SMS texts become known as SMSCode shows
them (`conceal`), and the newest few thousand are remembered.

Each command has an id, which stands in every line that is written because of it (`about`).
"""

import contextlib
import html
import json
import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Iterable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO
from urllib.parse import quote

import structlog

from bot.config import Logging

_BOT_TOKEN = re.compile(r"\d{5,20}(?::|%3A)[A-Za-z0-9_-]{20,64}", re.IGNORECASE)
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s'\",\\]+")
_FULL_NUMBER = re.compile(r"\+\d[\d ().-]{6,18}\d")
_WORD = re.compile(r"[A-Za-z0-9]{3,}")
_MASK = "***"
_MOST_LEARNED: Final = 5000
_MOST_PHRASES: Final = 1000
_SHORTEST: Final = 3
"""Characters; whatever is shorter would mask half of every line and is no code."""


CHATTY: Final = ("httpx", "httpcore", "telegram", "aiosqlite", "asyncio", "hpack", "uvicorn")
"""Libraries that would write addresses with the bot's token in them, or a line a statement."""

_Event = MutableMapping[str, Any]

_words: OrderedDict[str, None] = OrderedDict()
_phrases: OrderedDict[str, None] = OrderedDict()
# Logging is one for the whole process, and so is what it must not say.


def conceal(*values: str | None) -> None:
    """From now on let no line show these values: a code, an SMS, a phone number."""
    for value in values:
        plain = (value or "").strip().removeprefix("+")
        if _WORD.fullmatch(plain):
            _remember(_words, plain, _MOST_LEARNED)
        elif len(plain) >= _SHORTEST:
            for spelling in {*_spellings(plain), html.escape(plain), html.escape(plain, quote=False)}:
                _remember(_phrases, spelling, _MOST_PHRASES)


def _remember(kept: OrderedDict[str, None], value: str, most: int) -> None:
    kept[value] = None
    kept.move_to_end(value)
    while len(kept) > most:
        kept.popitem(last=False)


def about(command: str | None) -> AbstractContextManager[None]:
    """Let every line within name that command (`BOT-UPDATE`): by it a line, an order and a message belong together."""
    return structlog.contextvars.bound_contextvars(command=command) if command else contextlib.nullcontext()


class Redactor:
    """Masks known secrets, however they are spelled, and whatever looks like a token or a whole phone number."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        # The longest first, so that a secret that contains another one is masked whole.
        self._spellings = sorted(spellings, key=len, reverse=True)

    def redact(self, text: str) -> str:
        """The text without secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, _MASK)
        for phrase in _phrases:
            text = text.replace(phrase, _MASK)
        text = _BEARER.sub(rf"\1{_MASK}", _BOT_TOKEN.sub(_MASK, text))
        return _WORD.sub(_unless_learned, _FULL_NUMBER.sub(_MASK, text))

    def __call__(self, _: Any, __: str, event: _Event) -> _Event:
        """Mask every value of an event, as the last step before it is written."""
        for key, value in event.items():
            if value is not None and not isinstance(value, bool | int | float):
                event[key] = self.redact(str(value))
        return event


def configure(config: Logging, secrets: Iterable[str], stream: TextIO | None = None) -> None:
    """Send everything that is logged, by us and by libraries, to `stream` (stderr) in one form, redacted."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=_processors(config.format, Redactor(secrets))))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config.level)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Handler(logging.StreamHandler[TextIO]):
    """A stream handler that never shows the arguments of a line it could not write: they may be secrets."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        lost = logging.makeLogRecord(
            {
                "name": record.name,
                "levelno": record.levelno,
                "levelname": record.levelname,
                "msg": f"a line of {record.filename}:{record.lineno} could not be written",
            }
        )
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(self.format(lost) + self.terminator)


def _unless_learned(word: re.Match[str]) -> str:
    return _MASK if word[0] in _words else word[0]


def _spellings(secret: str) -> tuple[str, ...]:
    """A secret as itself, inside a Python literal, inside JSON, and inside an address."""
    return secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")


def _processors(form: str, redactor: Redactor) -> list[Any]:
    last: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=False, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        redactor,
        last,
    ]
