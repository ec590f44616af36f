"""Waiting for a signal, but never for longer than some time."""

import asyncio
import contextlib

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
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(waiter, timer, return_exceptions=True)
    signal.clear()
