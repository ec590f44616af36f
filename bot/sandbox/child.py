"""The bot as a process of its own: started as anybody would start it, and started again when it dies."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

Result = TypeVar("Result")

_STOP_SECONDS: Final = 12.0
"""How long the bot may take after SIGTERM; it promises to be done within ten seconds."""
_PAUSE_SECONDS: Final = 0.5
_SHORT_LIFE_SECONDS: Final = 5.0
_SHORT_LIVES: Final = 3
"""So many deaths in a row, each soon after its start, mean that another start would not help."""
_LOG_LINES_SHOWN: Final = 15
_TETHER: Final = Path(__file__).with_name("tether.py")


class BotGaveUp(Exception):
    """The bot cannot be kept running; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class BotCommand:
    """How the bot is started: `words`, followed by the path of its configuration, run in `folder`.

    `environment` is all that the bot sees of the environment, so that nothing there can send it anywhere else.
    """

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


class BotProcess:
    """A running bot, as an async context manager: entered it has been started, left it is gone.

    On Linux it is gone as well where this program is killed and cannot leave.
    `tell` hears in one sentence of every death and every new start; `starts` counts how often it was started.
    """

    def __init__(self, command: BotCommand, config: Path, log: Path, tell: Callable[[str], None]) -> None:
        self._command = command
        self._config = config
        self._log = log
        self._tell = tell
        self._process: Process | None = None
        self._killed_on_purpose = False
        self.starts = 0

    @property
    def pid(self) -> int:
        """The id of the process that runs at present."""
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether that process lives, as far as is known."""
        return self._process is not None and self._process.returncode is None

    def kill(self) -> None:
        """End it with SIGKILL, as a failing machine would. It starts again, and this death is not held against it."""
        self._killed_on_purpose = True
        self._send(signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines that the bot has written, of all its lives."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-_LOG_LINES_SHOWN:])
        return ""

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._running.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._running.wait()

    async def alongside(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do `work` while the bot is kept alive.

        Raises:
            BotGaveUp: the bot died again and again, so the work was broken off.
        """
        doing = asyncio.create_task(work, name="work beside the bot")
        keeping = asyncio.create_task(self._keep_alive(), name="bot keeper")
        try:
            await asyncio.wait({doing, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                keeping.result()
            return doing.result()
        finally:
            doing.cancel()
            keeping.cancel()
            await asyncio.gather(doing, keeping, return_exceptions=True)

    async def _keep_alive(self) -> NoReturn:
        clock = asyncio.get_running_loop().time
        short_lives = 0
        while True:
            started = clock()
            status = await self._running.wait()
            died_young = clock() - started < _SHORT_LIFE_SECONDS and not self._killed_on_purpose
            short_lives = short_lives + 1 if died_young else 0
            self._killed_on_purpose = False
            if short_lives == _SHORT_LIVES:
                raise BotGaveUp(f"The bot {_ending(status)} at each of {short_lives} starts.\n{self.log_tail()}")
            self._tell(f"The bot (process {self.pid}) {_ending(status)}. Starting it again …")
            await asyncio.sleep(_PAUSE_SECONDS)
            await self._start()
            self._tell(f"The bot is back as process {self.pid}.")

    async def _start(self) -> None:
        # A file instead of a pipe: it never fills up, and it outlives any of the two processes.
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_tethered((*self._command.words, str(self._config))),
                cwd=self._command.folder,
                env=self._command.environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )
        self.starts += 1

    def _send(self, number: signal.Signals) -> None:
        # The process's own `send_signal` would look whether it has ended, and take that news from who waits for it.
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("the bot has not been started")
        return self._process


def _tethered(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that start the same program so that it ends with this one, where the system knows how."""
    if sys.platform != "linux":
        return words
    # -I and -S: nothing in the environment or among the installed packages is needed or can get in the way.
    return (sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *words)


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
