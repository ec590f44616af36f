"""What SMSCode's webhooks say: which orders to read again at once, and how far they can be relied on.

An event is only a hint. The order is read again, so a forged, repeated, late or disordered event shows nobody anything
that the API itself would not show.
"""

from collections import OrderedDict
from collections.abc import Container
from typing import Final

from bot.clock import Clock

_MOST: Final = 1_000
"""Hints kept; the oldest is forgotten first, for polling sees its order anyway."""

_KEPT_SECONDS: Final = 60.0
"""How long a hint waits for its order: an event may come before the answer to the create."""

_PROVEN_AFTER: Final = 3
"""Codes in a row that an event has announced before the poll saw them, until polling relaxes."""


class Hints:
    """Orders (SMSCode's ids) to be looked at now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: OrderedDict[str, float] = OrderedDict()

    def add(self, remote_id: str) -> None:
        """Remember that something happened to an order, whether or not it is ours."""
        self._waiting[remote_id] = self._clock.monotonic()
        self._waiting.move_to_end(remote_id)
        while len(self._waiting) > _MOST:
            self._waiting.popitem(last=False)

    def take(self, known: Container[str]) -> list[str]:
        """The hinted orders among `known`, each once; a hint of an unknown one waits for a while."""
        horizon = self._clock.monotonic() - _KEPT_SECONDS
        while self._waiting and next(iter(self._waiting.values())) < horizon:
            self._waiting.popitem(last=False)
        taken = [remote_id for remote_id in self._waiting if remote_id in known]
        for remote_id in taken:
            del self._waiting[remote_id]
        return taken


class WebhookHealth:
    """Whether webhooks announce codes before the poll sees them."""

    def __init__(self) -> None:
        self._in_a_row = 0

    @property
    def proven(self) -> bool:
        """Whether the last few codes were all announced in time."""
        return self._in_a_row >= _PROVEN_AFTER

    def was_first(self) -> None:
        """An event has announced a code that the poll had not seen."""
        self._in_a_row += 1

    def was_late(self) -> None:
        """The poll has seen a code that no event had announced."""
        self._in_a_row = 0
