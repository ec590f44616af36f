"""The request budget: every call to SMSCode asks here first, so that the account's limit is never met.

SMSCode allows a standard account about 300 requests a minute and answers 429 with `Retry-After` beyond that. The
budget counts what left in the last minute, keeps a share of it for people's commands, and when SMSCode asks for
patience (429, 503) everyone waits together. Once a pause is over, requests leave one after the other at the even
pace, not all at once.
"""

import asyncio
import heapq
from collections import deque
from typing import Final

from bot.clock import Clock
from bot.domain.errors import NotSent
from bot.sms.port import Priority

_WINDOW: Final = 60.0
_MARGIN: Final = 0.5
"""Seconds by which our minute is longer than theirs: a request is counted there a little after it left here."""

_COMMANDS_SHARE: Final = 0.2
"""The part of the budget that watching leaves to commands."""

_IDLE_SHARE: Final = 0.5
"""The part of the budget up to which it counts as idle."""


class RequestBudget:
    """At most `per_minute` requests in any minute, commands first, with one pause for all."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self.per_minute = per_minute
        self._sent: deque[float] = deque()
        self._paused_until = 0.0
        self._paced_until = 0.0
        self._queue: list[tuple[int, int, float, asyncio.Future[None]]] = []
        self._count = 0
        self._pump: asyncio.Task[None] | None = None

    @property
    def watch_rate(self) -> float:
        """Requests a second that watching may use in the long run."""
        return self.per_minute * (1 - _COMMANDS_SHARE) / _WINDOW

    @property
    def used(self) -> int:
        """Requests that left within the last minute."""
        self._forget_old()
        return len(self._sent)

    @property
    def has_room(self) -> bool:
        """Whether there is plenty left: what can wait as well leaves only then."""
        return self._clock.monotonic() >= self._paced_until and self.used < self.per_minute * _IDLE_SHARE

    @property
    def pause_left(self) -> float:
        """Seconds for which SMSCode has asked everyone to wait; 0 when it has not."""
        return max(0.0, self._paused_until - self._clock.monotonic())

    def pause(self, seconds: float) -> None:
        """Let nothing leave for that long; a longer pause already running stays.

        Whoever waits already and has less patience than that is told at once, as `admit` would have.
        """
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        # After the pause the queue drains at the even pace for a minute: no storm.
        self._paced_until = self._paused_until + _WINDOW
        for _, _, patience, place in self._queue:
            if self.pause_left > patience and not place.done():
                place.set_exception(self._refusal())

    async def admit(self, priority: Priority, patience: float) -> None:
        """Wait for a place in the budget.

        Raises:
            NotSent: a pause is longer than `patience` seconds, so waiting would only keep a person in the dark.
        """
        if self.pause_left > patience:
            raise self._refusal()
        first = not self._queue or priority < self._queue[0][0]
        if first and self._delay(priority) <= 0:
            self._note()
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._queue, (priority, self._count, patience, place))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._drain(), name="request-budget")
        await place

    async def close(self) -> None:
        """Stop handing out places; whoever still waits is told that nothing was sent."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        while self._queue:
            *_, place = heapq.heappop(self._queue)
            if not place.done():
                place.set_exception(NotSent("the desk is stopping"))

    async def _drain(self) -> None:
        while self._queue:
            priority, _, _, place = self._queue[0]
            if place.done():  # its caller was cancelled, or told of a pause
                heapq.heappop(self._queue)
                continue
            delay = self._delay(Priority(priority))
            if delay > 0:
                # Short naps: a command may take the head of the queue meanwhile, or a pause may begin.
                await self._clock.sleep(min(delay, 0.25))
                continue
            heapq.heappop(self._queue)
            self._note()
            place.set_result(None)

    def _delay(self, priority: Priority) -> float:
        """Seconds until the next request of that priority may leave; 0 or less: now."""
        now = self._clock.monotonic()
        self._forget_old()
        if self._paused_until > now:
            return self._paused_until - now
        allowed = self.per_minute if priority is Priority.COMMAND else self._watch_allowance
        if len(self._sent) >= allowed:
            return self._sent[len(self._sent) - allowed] + _WINDOW + _MARGIN - now
        if now < self._paced_until and self._sent:
            return self._sent[-1] + _WINDOW / self.per_minute - now
        return 0.0

    def _refusal(self) -> NotSent:
        return NotSent("SMSCode has asked for a pause", retry_after=self.pause_left)

    @property
    def _watch_allowance(self) -> int:
        return max(1, int(self.per_minute * (1 - _COMMANDS_SHARE)))

    def _note(self) -> None:
        self._sent.append(self._clock.monotonic())

    def _forget_old(self) -> None:
        horizon = self._clock.monotonic() - _WINDOW - _MARGIN
        while self._sent and self._sent[0] <= horizon:
            self._sent.popleft()
