"""How a refusal repeats what somebody typed: enough to know it again, and never a whole page of it."""

from typing import Final

_SHOWN: Final = 24


def shortened(typed: str) -> str:
    """What was typed, cut after its first characters where it is long."""
    return typed if len(typed) <= _SHOWN else typed[:_SHOWN] + "…"
