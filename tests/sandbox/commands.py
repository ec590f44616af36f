"""Shell commands of the sandbox as real processes, and what they print."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("otpdesk")
PATIENCE = 40.0


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until something holds that another process brings about."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


@dataclass
class Command:
    """A running `otpdesk …`, everything it has printed so far, and the folder for its temporary files."""

    process: Process
    folder: Path
    printed: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it has printed so far."""
        return "".join(self.printed)

    async def prints(self, pattern: str) -> re.Match[str]:
        """Read on until something printed matches."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(pattern, self.text)):
                line = await self.process.stdout.readline()
                assert line, f"it ended without printing {pattern!r}:\n{self.text}"
                self.printed.append(line.decode())
        return found

    async def ends(self, within: float = PATIENCE) -> int:
        """Read on until it ends; its exit status."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            self.printed.append((await self.process.stdout.read()).decode())
            return await self.process.wait()

    async def stopped_by(self, number: signal.Signals) -> int:
        """Send a signal as a terminal does, to the whole group; the exit status."""
        os.killpg(self.process.pid, number)
        return await self.ends()

    def files(self, pattern: str = "*") -> list[Path]:
        """Its temporary files that are there now."""
        return list(self.folder.glob(pattern))


@asynccontextmanager
async def running(
    folder: Path, *words: str, working_folder: Path | None = None, **environment: str
) -> AsyncIterator[Command]:
    """Run a program in a session of its own; whatever is left of it at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=working_folder,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "80", **environment},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        yield Command(process, folder)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


@asynccontextmanager
async def otpdesk(
    folder: Path, *arguments: str, working_folder: Path | None = None, **environment: str
) -> AsyncIterator[Command]:
    """Run `otpdesk` with these arguments, as `running` does."""
    async with running(folder, str(PROGRAM), *arguments, working_folder=working_folder, **environment) as command:
        yield command
