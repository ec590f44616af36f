"""The real desk as a process of its own, for tests that kill it: only its clock is faster than the machine's.

A process is forked from a server that has imported everything already: what is killed and what starts again is the
desk's own work, not Python's, and a thousand starts cost a thousand times less of the machine.
"""

import asyncio
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from bot import logs
from bot.app import open_app
from bot.config import load
from bot.sms.client import trusted

_STOPS_WITHIN = 15.0
_LAST_WORDS = 3000
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [__name__, "bot.sandbox.bot_api", "bot.sandbox.sms_api", "anyio._backends._asyncio", "httpcore"]
)
trusted()  # Certificates take longer to read than all else a start needs; what is forked has them.


class SharedClock:
    """`speed` times real time since `origin` (unix seconds), the same in every process that is told both."""

    def __init__(self, speed: float, origin: float) -> None:
        self._speed = speed
        self._origin = origin

    def now(self) -> float:
        return self._origin + (time.time() - self._origin) * self._speed

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


class Desk:
    """The desk's process: started, killed, started again; its clock goes on from where it was."""

    def __init__(self, config: Path, clock: SharedClock, log: Path) -> None:
        self._arguments = (config, clock, log)
        self._log = log
        self._process: BaseProcess | None = None

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self._process = _FORKS.Process(target=_live, args=self._arguments, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """The process' number; one that has ended by itself says how, with its last words."""
        assert self._process is not None
        assert self._process.pid is not None
        assert self._process.exitcode is None, f"the desk ended with {self._process.exitcode}: {self._last_words()}"
        return self._process.pid

    def _last_words(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]

    async def kill(self) -> None:
        """SIGKILL; a desk that does not run stays as it is."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.join)

    async def stop(self) -> int | None:
        """SIGTERM, as a service manager does; return the exit code, or None if it did not come in time."""
        assert self._process is not None
        self._process.terminate()
        await asyncio.to_thread(self._process.join, _STOPS_WITHIN)
        return self._process.exitcode


def _live(config: Path, clock: SharedClock, log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    asyncio.run(_run(config, clock))


async def _run(config: Path, clock: SharedClock) -> None:
    settings = load(config)
    logs.configure(settings.logging, [settings.telegram.secret, settings.smscode.secret])
    async with open_app(settings, clock) as app:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop)
        await app.run()
