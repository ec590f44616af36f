"""Plots, drawn in a short-lived process of their own: the desk's own never loads the drawing library."""

import asyncio
import json
import logging
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

DRAWER: Final = Path(__file__).with_name("drawing.py")
PATIENCE: Final = 20.0
"""Real seconds for one picture; then the numbers go without it."""

_MOST_WAITING: Final = 4
_LARGEST: Final = 5_000_000
_PNG: Final = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Plot:
    """What is to be drawn: `values` with their `labels` and in words (`texts`), and the scale as pairs of both."""

    kind: str
    title: str
    subtitle: str
    labels: list[str]
    values: list[int]
    texts: list[str]
    ticks: list[tuple[int, str]]


class Easel:
    """Draws one plot at a time; whoever would have to wait for many others gets none."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def draw(self, plot: Plot, database: Path) -> bytes | None:
        """The plot as a PNG, or None where it could not be drawn; why is in the log.

        Its drawer may keep what it knows of fonts beside the `database`, and writes nowhere else.
        """
        if self._waiting >= _MOST_WAITING:
            log.warning("no plot: %d others wait", self._waiting)
            return None
        self._waiting += 1
        try:
            async with asyncio.timeout(PATIENCE), self._turn:
                return await _drawn(plot, database)
        except TimeoutError:
            log.warning("no plot: it took longer than %.0f s", PATIENCE)
            return None
        except OSError as error:
            log.warning("no plot: %s", error)
            return None
        finally:
            self._waiting -= 1


def _beside(database: Path) -> Path:
    return database.absolute().with_name(f"{database.name}.fonts")


async def _drawn(plot: Plot, database: Path) -> bytes | None:
    """Run the drawer; it knows nothing of the desk's environment, where tokens may be."""
    environment = {"MPLBACKEND": "Agg", "MPLCONFIGDIR": os.fspath(_beside(database))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(DRAWER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        picture, _ = await process.communicate(json.dumps(asdict(plot)).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not picture.startswith(_PNG) or len(picture) > _LARGEST:
        log.warning("no plot: the drawer ended with %s and %d bytes", process.returncode, len(picture))
        return None
    return picture
