"""Single fields of an answer, read leniently: what makes no sense is missing, and never an exception.

A field that SMSCode spells in a new way must not lose an order that was paid.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bot.domain.errors import Unclear
from bot.sms.wire import Answer, sound

_LARGEST: Final = 2**53
"""Beyond this, JSON numbers are not whole on every machine; no price or balance gets near."""

_LONGEST_TEXT: Final = 1000
_YEARS: Final = range(2000, 9999)
"""What can be meant: before lie zero times, and at the end of the calendar a time zone leads out of it."""


def mapping(answer: Answer) -> Mapping[str, Any]:
    """The answer's data, which must be an object.

    Raises:
        Unclear: it is not.
    """
    if not isinstance(answer.data, dict):
        raise Unclear("SMSCode sent an answer that cannot be read", request_id=answer.request_id)
    return answer.data


def rows(answer: Answer, what: str) -> list[Mapping[str, Any]]:
    """The answer's data, which must be a list; what is no object in it is passed over. `what` names the list.

    Raises:
        Unclear: it is no list.
    """
    if not isinstance(answer.data, list):
        raise Unclear(f"SMSCode sent {what} that is no list", request_id=answer.request_id)
    return [row for row in answer.data if isinstance(row, dict)]


def whole(value: object) -> int | None:
    """A whole number that is not below zero, such as an amount in IDR."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value < _LARGEST or value != int(value):
        return None
    return int(value)


def text(value: object) -> str | None:
    """A text that is not empty; a number is taken for the text that spells it."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return sound(value[:_LONGEST_TEXT]) if isinstance(value, str) and value else None


def moment(value: object) -> datetime | None:
    """An ISO 8601 time in UTC; one without a zone is UTC, one that is none is nothing."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        read = read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year in _YEARS else None
