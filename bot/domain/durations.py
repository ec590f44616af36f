"""Lengths of time as people write them: `30m`, `12h`, `3d`, `2w`, `3 days`."""

import re
from collections.abc import Mapping
from typing import Final

from bot.domain.errors import WrongUsage
from bot.domain.quoting import shortened

LONGEST: Final = 366 * 86_400
"""The longest time (seconds) that anything here is set for."""

_UNITS: Final[Mapping[str, int]] = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_SHORT: Final[Mapping[str, str]] = {"m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week"}
_WRITTEN: Final = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>[a-z]{1,7})", re.ASCII)


def parse_duration(typed: str) -> int:
    """Read a length of time in whole minutes, hours, days or weeks; return it in seconds.

    Raises:
        WrongUsage: it is none, is nothing, or is longer than `LONGEST`.
    """
    match = _WRITTEN.fullmatch(typed.casefold())
    unit = _unit(match["unit"]) if match else None
    if match is None or unit is None:
        raise WrongUsage(f"“{shortened(typed)}” is no length of time; write 12h, 3d or 2w")
    seconds = int(match["number"]) * unit
    if not 60 <= seconds <= LONGEST:
        raise WrongUsage(f"a length of time is from one minute to {LONGEST // 86_400} days")
    return seconds


def format_duration(seconds: int) -> str:
    """Write a length of time in the largest unit that divides it: `3 days`, `90 minutes`."""
    name, size = next(
        (name, size) for name, size in sorted(_UNITS.items(), key=lambda unit: -unit[1]) if seconds % size == 0
    )
    number = seconds // size
    return f"{number} {name}{'' if number == 1 else 's'}"


def _unit(word: str) -> int | None:
    return _UNITS.get(_SHORT.get(word, word.removesuffix("s")))
