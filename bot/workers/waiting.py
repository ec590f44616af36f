"""Waiting: for a signal but never for too long, and for work under way when a worker is asked to stop."""

import asyncio
from collections.abc import Iterable

from bot.clock import Clock


async def wait_for(signal: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return when `signal` is set (and clear it), or after that many seconds of the desk's clock."""
    waiter = asyncio.ensure_future(signal.wait())
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((waiter, timer), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (waiter, timer):
            task.cancel()
        # Not guarded against cancellation: a worker asked to stop right here must hear of it.
        await asyncio.gather(waiter, timer, return_exceptions=True)
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
