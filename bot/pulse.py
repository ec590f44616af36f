"""Signs of life: which loops turn and which servers answer, by the clock that only grows."""

from collections.abc import Iterable
from typing import Final

from bot.clock import Clock

TELEGRAM: Final = "telegram"
SMSCODE: Final = "smscode"

GRACE: Final = 30.0
"""Seconds by which a loop may be later than it said: one slow answer is not a loop that hangs."""


class Pulse:
    """Who was heard of last. A part that never began is as silent as one that has stopped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, float] = {}
        self._heard: dict[str, float] = {}

    def beat(self, worker: str, within: float) -> None:
        """A loop has turned, and means to turn again `within` that many seconds."""
        self._due[worker] = self._clock.monotonic() + within

    def heard(self, server: str) -> None:
        """A server has answered, if only to say no."""
        self._heard[server] = self._clock.monotonic()

    def silent(self, workers: Iterable[str]) -> list[str]:
        """Those of the loops that are later than they said."""
        now = self._clock.monotonic()
        return [worker for worker in workers if self._due.get(worker, -GRACE - 1) + GRACE < now]

    def unheard(self, server: str) -> float:
        """Seconds since a server has answered; infinite if it never has."""
        heard = self._heard.get(server)
        return float("inf") if heard is None else self._clock.monotonic() - heard
