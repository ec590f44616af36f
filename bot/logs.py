"""What is written about the work: structured lines without secrets.

Secrets are taken out at the very end, of the whole finished line, so that no library and no traceback can bring one in
by another way.
"""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog

from bot.config import Logging

_BOT_TOKEN = re.compile(r"\d{5,20}:[A-Za-z0-9_-]{20,64}")
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s'\",]+")
_MASK = "***"

_CHATTY = ("httpx", "httpcore", "telegram", "aiosqlite", "asyncio", "hpack", "uvicorn")
"""Libraries that would write addresses with the bot's token in them, or a line a statement."""


class Redactor(logging.Filter):
    """Masks known secrets, and whatever looks like a token, in everything a record would write."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self.redact(record.getMessage())
        record.args = ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self.redact(logging.Formatter().formatException(record.exc_info))
        record.exc_info = None
        return True

    def redact(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _BEARER.sub(rf"\1{_MASK}", _BOT_TOKEN.sub(_MASK, text))


def configure(config: Logging, secrets: Iterable[str], stream: TextIO | None = None) -> None:
    """Send everything that is logged, by us and by libraries, to `stream` (stderr) in one form, redacted."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(Redactor(secrets))
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=_processors(config.format)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(config.level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _processors(form: str) -> list[Any]:
    last: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _keep_traceback,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        last,
    ]


def _keep_traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Bring the traceback that the redactor has already written into the line."""
    record = event.get("_record")
    text = getattr(record, "exc_text", None)
    if text:
        event["exception"] = text
    return event
