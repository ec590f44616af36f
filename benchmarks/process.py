"""The desk, or another bot, as a process of its own between simulators in this one.

Its CPU time and memory are what the system says (`/proc`), so neither the simulators nor whoever asks is counted along.
"""

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bot.domain.access import Role
from bot.sandbox.bot_api import TelegramWorld, bot_app
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Contract, SmsWorld, sms_app
from storage import members
from storage.migrate import migrate
from tests.config_file import config_text

OWNER: Final = 7001
DESK: Final = ("-m", "bot")
UNPACED: Final = ("-m", "benchmarks.unpaced")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 120.0
_QUIET: Final = 1.5


@dataclass(frozen=True, slots=True)
class Running:
    """A desk in a process of its own."""

    process_id: int
    started: float
    telegram: TelegramWorld
    sms: SmsWorld

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far, user and system."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    @property
    def megabytes(self) -> float:
        """Memory that is really there (resident)."""
        status = Path(f"/proc/{self.process_id}/status").read_text("utf-8")
        (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        return int(kilobytes) / 1024

    async def asked_for_updates(self) -> tuple[float, float]:
        """Wait for the first `getUpdates`; give the seconds since the start, and the CPU seconds."""
        calls = self.telegram.calls
        await self.telegram.wait_until(lambda: any(call.method == "getUpdates" for call in calls), _PATIENCE)
        return time.monotonic() - self.started, self.cpu

    async def has_settled(self) -> None:
        """Wait until it has nothing more to say by itself: every member's menu is set at the start."""
        await self.asked_for_updates()
        calls = -1
        while calls != len(self.telegram.calls):
            calls = len(self.telegram.calls)
            await asyncio.sleep(_QUIET)


@asynccontextmanager
async def running(
    folder: Path,
    telegram: TelegramWorld,
    sms: SmsWorld,
    words: Sequence[str] = DESK,
    contract: Contract = "official",
    **sections: Mapping[str, Any],
) -> AsyncIterator[Running]:
    """Run what `words` name, as the desk is run, on the database in `folder`; `sections` add to the configuration."""
    async with LoopbackServer(bot_app(telegram)) as chat, LoopbackServer(sms_app(sms, contract)) as api:
        config = folder / "config.toml"
        added = {"storage": {"path": str(folder / "desk.sqlite3")}, "logging": {"level": "ERROR"}, **sections}
        config.write_text(config_text(telegram.token, chat.url, api.url, OWNER, "auto", **added), encoding="utf-8")
        config.chmod(0o600)
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(sys.executable, *words, "run", "--config", str(config))
        try:
            yield Running(process.pid, started, telegram, sms)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def enlist(folder: Path, telegram: TelegramWorld, people: Iterable[int]) -> None:
    """Make a database in which those people are operators who have pressed Start."""
    with contextlib.closing(sqlite3.connect(folder / "desk.sqlite3", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection)
        connection.execute("BEGIN")
        for person in people:
            telegram.add_user(person, f"Member {person}")
            telegram.chats[person].started = True
            members.allow(connection, person, f"Member {person}", Role.OPERATOR, OWNER, 0)
        connection.execute("COMMIT")


def worlds() -> tuple[TelegramWorld, SmsWorld]:
    """Both servers; nothing happens in them by itself."""
    telegram = TelegramWorld()
    telegram.add_user(OWNER, "Owner")
    telegram.chats[OWNER].started = True
    sms = SmsWorld(arrival=None, balance=10**12, requests_per_minute=None, order_lifetime=86_400.0, complete_after=None)
    for product in sms.products("indonesia", "whatsapp"):
        product.available = 10**6
    return telegram, sms
