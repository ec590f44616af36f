"""Waiting: for a signal but never for too long, and for work under way when a worker is asked to stop."""

import asyncio
from collections.abc import Iterable

from bot.clock import Clock, set_within


async def wait_for(signal: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return when `signal` is set (and clear it), or after that many seconds of the desk's clock."""
    await set_within(signal, clock, seconds)
    signal.clear()


async def finish(under_way: Iterable[asyncio.Task[None]]) -> None:
    """Let tasks come to their end; when even the time for that is over, cancel them."""
    tasks = list(under_way)
    if not tasks:
        return
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
