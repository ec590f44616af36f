"""The clock, injected wherever time matters, so that a test can run a day in a second."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the desk asks of time."""

    def now(self) -> float:
        """Unix time in seconds: for dates and for what is written down. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow: for intervals."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def set_within(signal: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Wait for `signal`, but no longer than that many seconds of `clock`; say whether it is set."""
    if signal.is_set():
        return True
    waiter = asyncio.ensure_future(signal.wait())
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        timer.cancel()
        # Not guarded against cancellation: whoever is asked to stop right here must hear of it.
        await asyncio.gather(waiter, timer, return_exceptions=True)
    return signal.is_set()


def milliseconds(clock: Clock) -> int:
    """Now, in the unix milliseconds that the database keeps."""
    return int(clock.now() * 1000)


def moment(clock: Clock) -> datetime:
    """Now, as an aware time in UTC."""
    return datetime.fromtimestamp(clock.now(), UTC)


def from_milliseconds(value: int) -> datetime:
    """An aware time in UTC from the database's unix milliseconds."""
    return datetime.fromtimestamp(value / 1000, UTC)
