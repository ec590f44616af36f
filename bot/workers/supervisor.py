"""Keeps the workers alive: a crash is logged, counted and restarted with a growing pause."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.clock import Clock

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_FORGIVEN_AFTER: Final = 300.0
"""Seconds of good work after which a crash counts as the first one again."""


class Fatal(Exception):
    """A worker says that the whole desk must stop; the message says why."""


@dataclass(slots=True)
class Worker:
    """One loop and how it has fared. `run` returns when asked to stop, and otherwise never."""

    name: str
    run: Callable[[], Awaitable[None]]
    restarts: int = 0
    last_error: str | None = field(default=None)


class Supervisor:
    """Runs workers until told to stop."""

    def __init__(
        self,
        workers: Sequence[Worker],
        clock: Clock,
        on_restart: Callable[[Worker], Awaitable[None]],
    ) -> None:
        self.workers = workers
        self._clock = clock
        self._on_restart = on_restart
        self._stop = asyncio.Event()
        self._fatal: Fatal | None = None

    def stop(self) -> None:
        """Ask every worker to come to an end."""
        self._stop.set()

    async def run(self, drain_seconds: float) -> None:
        """Run until stopped, then give the workers `drain_seconds` to finish what they hold.

        Raises:
            Fatal: a worker has given up on the whole desk.
        """
        tasks = [asyncio.create_task(self._keep_alive(worker), name=worker.name) for worker in self.workers]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=drain_seconds)
        for task in late:
            log.warning("%s is cut short; what it held is on disk and is taken up at the next start", task.get_name())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if self._fatal is not None:
            raise self._fatal

    async def _keep_alive(self, worker: Worker) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = self._clock.monotonic()
            try:
                await worker.run()
            except Fatal as error:
                self._fatal = error
                self.stop()
                return
            except Exception as error:
                log.exception("%s crashed; it starts again in %.1f s", worker.name, pause)
                worker.last_error = f"{type(error).__name__}: {error}"[:200]
            else:
                log.error("%s came to an end by itself; it starts again in %.1f s", worker.name, pause)
                worker.last_error = "it came to an end by itself"
            worker.restarts += 1
            if self._clock.monotonic() - started > _FORGIVEN_AFTER:
                pause = _FIRST_PAUSE
            await self._report(worker)
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _report(self, worker: Worker) -> None:
        try:
            await self._on_restart(worker)
        except Exception:
            log.exception("the restart of %s could not be reported", worker.name)
