"""Clocks for tests."""

import asyncio
import heapq
import itertools
import math
import time
from typing import Final

_SETTLING_ROUNDS: Final = 10
"""Turns of the event loop that a woken sleeper gets to have its consequences before time moves on."""

_BEAT: Final = 0.03
_LATE: Final = 0.06
"""Real seconds between two turns of an event loop that is not kept from its work."""

_NAP: Final = 0.01
"""Real seconds after which a sleeper looks whether time has changed its pace."""


class FastClock:
    """Real time, `speed` times as fast, from now or from `start` (unix seconds).

    While somebody keeps its pace, it stands still for as long as the event loop gets no turn: on a machine that is too
    busy, a second that nobody had a chance to use must not pass twenty times as fast.
    """

    def __init__(self, speed: float, start: float | None = None) -> None:
        self.speed = speed
        self._start = time.time() if start is None else start
        self._origin = time.monotonic()
        self._latest = 0.0
        self._beat = 0.0

    def now(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        self._latest = max(self._latest, (time.monotonic() - self._origin) * self.speed)
        return self._latest

    def jump(self, seconds: float) -> None:
        """Let that much time pass at once, from what the clock shows; whoever sleeps does not notice."""
        shown = self.monotonic() + seconds
        self._origin = time.monotonic() - shown / self.speed

    async def sleep(self, seconds: float) -> None:
        wakes_at = self.monotonic() + seconds
        await asyncio.sleep(seconds / self.speed)
        while (left := wakes_at - self.monotonic()) > 0:
            await asyncio.sleep(left / self.speed)

    async def keep_pace(self) -> None:
        """Leave out, for ever, whatever real time the event loop was kept from its work."""
        self._beat = time.monotonic()
        while True:
            await asyncio.sleep(_BEAT)
            now = time.monotonic()
            self._origin += max(0.0, now - self._beat - _LATE)
            self._beat = now


class ElasticClock(FastClock):
    """A fast clock whose speed may change at any time; time itself goes on evenly, also for whoever sleeps."""

    def run_at(self, speed: float) -> None:
        """Let that many seconds pass in a real one from now on."""
        passed = self.monotonic()
        self.speed = speed
        self._origin = time.monotonic() - passed / speed

    async def sleep(self, seconds: float) -> None:
        wakes_at = self.monotonic() + seconds
        while (left := wakes_at - self.monotonic()) > 0:
            await asyncio.sleep(min(left / self.speed, _NAP))


class JumpyClock(FastClock):
    """A fast clock whose date can be set by `set_by` seconds, as a time server does it; intervals go on evenly."""

    def __init__(self, speed: float, start: float) -> None:
        super().__init__(speed, start)
        self.set_by = 0.0

    def now(self) -> float:
        return super().now() + self.set_by


class ManualClock:
    """Time that stands still until `advance` moves it, from `start` (unix seconds).

    Sleepers wake one after the other, in the order of their times, each at exactly its time. What a sleeper does by
    I/O is not waited for: time only waits for the turns of the event loop.
    """

    def __init__(self, start: float = 1_773_464_400.0) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        # A sleep too short to count at this point of time still needs time to move, or it would never end.
        wakes_at = max(self._elapsed + seconds, math.nextafter(self._elapsed, math.inf))
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (wakes_at, next(self._numbers), sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, with everything that falls due on the way."""
        end = self._elapsed + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            wakes_at, _, sleeper = heapq.heappop(self._sleepers)
            if sleeper.done():
                continue
            self._elapsed = max(self._elapsed, wakes_at)
            sleeper.set_result(None)
            await self._settle()
        self._elapsed = end
        await self._settle()

    def jump(self, seconds: float) -> None:
        """Let `seconds` pass without waking anybody yet, as on a machine that was too busy."""
        self._elapsed += seconds

    async def _settle(self) -> None:
        for _ in range(_SETTLING_ROUNDS):
            await asyncio.sleep(0)
