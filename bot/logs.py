"""What is written about the work: structured lines without secrets.

Secrets are taken out last, of every value that a finished line would hold, so that no library and no traceback can
bring one in by another way.
"""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, TextIO
from urllib.parse import quote

import structlog

from bot.config import Logging

_BOT_TOKEN = re.compile(r"\d{5,20}(?::|%3A)[A-Za-z0-9_-]{20,64}", re.IGNORECASE)
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s'\",\\]+")
_MASK = "***"

_CHATTY: Final = ("httpx", "httpcore", "telegram", "aiosqlite", "asyncio", "hpack", "uvicorn")
"""Libraries that would write addresses with the bot's token in them, or a line a statement."""

_Event = MutableMapping[str, Any]


class Redactor:
    """Masks known secrets, however they are spelled, and whatever looks like a token."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
        # The longest first, so that a secret that contains another one is masked whole.
        self._spellings = sorted(spellings, key=len, reverse=True)

    def redact(self, text: str) -> str:
        """The text without secrets."""
        for spelling in self._spellings:
            text = text.replace(spelling, _MASK)
        return _BEARER.sub(rf"\1{_MASK}", _BOT_TOKEN.sub(_MASK, text))

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
    for name in _CHATTY:
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
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        redactor,
        last,
    ]
