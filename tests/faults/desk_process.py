"""The real desk as a process of its own, for tests that kill it: only its clock is faster than the machine's.

    python -m tests.faults.desk_process CONFIG SPEED ORIGIN

`ORIGIN` (unix seconds) is when the fast clock was started; a restarted process goes on from there.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path

from bot import logs
from bot.app import open_app
from bot.config import load


class SharedClock:
    """`speed` times real time since `origin`, the same in every process that is told both."""

    def __init__(self, speed: float, origin: float) -> None:
        self._speed = speed
        self._origin = origin

    def now(self) -> float:
        return self._origin + (time.time() - self._origin) * self._speed

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


async def _run(config: Path, clock: SharedClock) -> None:
    settings = load(config)
    logs.configure(settings.logging, [settings.telegram.secret, settings.smscode.secret])
    async with open_app(settings, clock) as app:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop)
        await app.run()


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1]), SharedClock(float(sys.argv[2]), float(sys.argv[3]))))
