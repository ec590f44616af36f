"""The soak: the real process, busy for long, on a street to both servers that flaps; and whatever grows is found.

    python -m tests.faults.soak --minutes 30

Members send commands without a pause; in the middle part the street to each server changes every second or so. Then
both servers are gone for a while, and come back. The desk's clock is twenty times the machine's: three minutes are an
hour. At the end nothing may be lost, the books must agree, /readyz must have told the truth, and memory, open files and
tasks must be what they were.
"""

import argparse
import asyncio
import contextlib
import random
import re
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bot.sandbox import bot_api, sms_api
from bot.sandbox.server import LoopbackServer
from storage import ledger
from tests.config_file import config_text
from tests.faults.crash import SPEED
from tests.faults.desk_process import Desk, SharedClock
from tests.faults.proof import Proof
from tests.faults.street import Street, Traffic
from tests.web.site import free_port

ADMIN = 1001
MEMBERS = tuple(range(3001, 3011))
COMMANDS = (
    "/whoami",
    "/balance",
    "/orders",
    "/order whatsapp indonesia",
    "/order telegram vietnam",
    "/cancel",
    "/help",
)
_PATIENCE = 60.0
_CONNECTIONS_KEPT = 40
"""Files by which two moments may differ: connections are kept for the next request, for half a minute."""

_TASKS_AT_WORK = 12


@dataclass
class Findings(Proof):
    """What was seen. `resident` in KiB, sampled in calm moments; `broken` is empty when all is well."""

    minutes: float
    commands: int = 0
    orders: int = 0
    codes: int = 0
    changes: int = 0
    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    log_bytes: int = 0

    @property
    def drift(self) -> float:
        """By how much the resident memory has grown between the first and the last calm moment."""
        return self.resident[-1] / self.resident[0] - 1

    def line(self) -> str:
        """The findings in one line."""
        return (
            f"soak {self.outcome}: {self.minutes:g} min, {self.commands} commands, {self.orders} orders, "
            f"{self.codes} codes, {self.changes} changes of the street, "
            f"resident {self.resident[0]} -> {self.resident[-1]} KiB ({self.drift:+.1%}), "
            f"files {self.files[0]} -> {self.files[-1]}, tasks {self.tasks[0]} -> {self.tasks[-1]}, "
            f"{self.log_bytes // max(self.commands, 1)} bytes of log a command"
        )


@dataclass
class Place:
    """Everything that takes part."""

    telegram: bot_api.TelegramWorld
    sms: sms_api.SmsWorld
    streets: tuple[Street, Street]
    desk: Desk
    page: httpx.AsyncClient
    folder: Path
    dice: random.Random
    findings: Findings

    async def ready(self) -> list[str] | None:
        """What /readyz says is missing; None if it does not answer."""
        with contextlib.suppress(httpx.HTTPError):
            return list((await self.page.get("/readyz")).json().get("missing", []))
        return None

    async def until_ready(self, wanted: set[str], broken: str) -> None:
        """Wait until exactly that is missing, or note what is `broken`."""
        deadline = time.monotonic() + _PATIENCE
        missing: list[str] | None = None
        while time.monotonic() < deadline:
            missing = await self.ready()
            if missing is not None and set(missing) == wanted:
                return
            await asyncio.sleep(0.1)
        self.findings.broken.append(f"{broken}: {missing}")


async def soak(minutes: float, seed: int, folder: Path, per_second: float = 10.0) -> Findings:
    """Run the whole soak in `folder`."""
    findings = Findings(minutes)
    clock = SharedClock(SPEED, time.time())
    telegram = bot_api.TelegramWorld(now=clock.now, seed=seed, flood_limits=False)
    sms = sms_api.SmsWorld(now=clock.now, seed=seed, balance=2_000_000_000, arrival=(5, 60), requests_per_minute=None)
    dice = random.Random(seed)
    port = free_port()
    async with (
        LoopbackServer(bot_api.bot_app(telegram)) as chat,
        LoopbackServer(sms_api.sms_app(sms, "official")) as api,
        Street(chat.url, dice) as chat_street,
        Street(api.url, dice) as api_street,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as page,
    ):
        config = folder / "config.toml"
        limits = {
            "per_order": 20_000, "daily": 100_000_000, "monthly": 10**9, "team_daily": 10**9, "team_monthly": 10**9,
            "active_orders": 3, "cancels_per_day": 1000,
        }  # fmt: skip
        text = config_text(
            telegram.token, chat_street.url, api_street.url, ADMIN, "official", limits=limits,
            smscode={"requests_per_minute": 3000}, storage={"path": str(folder / "desk.sqlite3")},
            web={"listen": f"127.0.0.1:{port}"}, backup={"every": 3600}, logging={"level": "INFO"},
        )  # fmt: skip
        config.write_text(text, encoding="utf-8")
        desk = Desk(config, clock, folder / "desk.log")
        place = Place(telegram, sms, (chat_street, api_street), desk, page, folder, dice, findings)
        try:
            desk.start()
            await _people(place)
            await _busy(place, minutes * 60, per_second)
            await _come_to_rest(place)
            await _measure(place)
            if await desk.stop() != 0:
                findings.broken.append("SIGTERM did not end the desk cleanly")
        finally:
            await desk.kill()
    _judge(place)
    return findings


async def _busy(place: Place, seconds: float, per_second: float) -> None:
    """A calm third, a flapping third, an outage of both, and the rest calm again."""
    load = asyncio.create_task(_load(place, per_second))
    try:
        await place.until_ready(set(), "not ready at the start")
        await asyncio.sleep(seconds / 3)
        await _measure(place)
        await _flap(place, seconds / 3)
        for street in place.streets:
            street.become(Traffic.RESET)
        await place.until_ready({"telegram", "smscode"}, "an outage was not told")
        for street in place.streets:
            street.become(Traffic.OPEN)
        await place.until_ready(set(), "not ready after the outage")
        await asyncio.sleep(seconds / 3)
    finally:
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)


async def _flap(place: Place, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        place.dice.choice(place.streets).become(place.dice.choice([Traffic.OPEN, *Traffic]))
        await asyncio.sleep(place.dice.uniform(0.2, 1.5))
    place.findings.changes = sum(street.changes for street in place.streets)


async def _load(place: Place, per_second: float) -> None:
    while True:
        member = place.dice.choice(MEMBERS)
        place.telegram.say(member, place.dice.choice(COMMANDS))
        place.findings.commands += 1
        await asyncio.sleep(1 / per_second)


async def _people(place: Place) -> None:
    telegram = place.telegram
    for person in (ADMIN, *MEMBERS):
        telegram.add_user(person, f"Member {person}")
        telegram.say(person, "/start")
    await telegram.wait_for("Hello", ADMIN, 60)
    for member in MEMBERS:
        telegram.say(ADMIN, f"/allow {member} operator")
        await telegram.wait_for("You are in", member, 60)


async def _come_to_rest(place: Place) -> None:
    """Wait until every command is answered, every letter is delivered and every order has its end or its code.

    A busy machine may be far behind: it is waited for as long as it still gets on.
    """
    deadline, left, least = time.monotonic() + _PATIENCE, [-1], sys.maxsize
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(place.folder / "desk.sqlite3")) as books:
            queries = (
                "SELECT count(*) FROM inbox WHERE state = 'pending'",
                "SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')",
                "SELECT count(*) FROM orders WHERE state IN ('reserved', 'sent', 'unknown', 'waiting')",
            )
            left = [books.execute(query).fetchone()[0] for query in queries]
        if not any(left) and not place.telegram.updates.pending:
            return
        if sum(left) < least:
            least, deadline = sum(left), time.monotonic() + _PATIENCE
        await asyncio.sleep(0.3)
    place.findings.broken.append(f"did not come to rest: {left}")


async def _measure(place: Place) -> None:
    process = Path(f"/proc/{place.desk.pid}")
    resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text(encoding="utf-8"))
    page = (await place.page.get("/metrics")).text
    tasks = re.search(r"^otpdesk_tasks (\d+)", page, re.MULTILINE)
    assert resident is not None
    assert tasks is not None
    place.findings.resident.append(int(resident[1]))
    place.findings.files.append(len(list((process / "fd").iterdir())))
    place.findings.tasks.append(int(tasks[1]))


def _judge(place: Place) -> None:
    findings = place.findings
    said = "\n".join(m.text for chat in place.telegram.chats.values() for m in chat.messages.values() if m.from_bot)
    shown = [sms for order in place.sms.books.orders.values() for sms in order.messages if sms.shown_at is not None]
    findings.orders, findings.codes = len(place.sms.books.orders), len(shown)
    findings.log_bytes = (place.folder / "desk.log").stat().st_size
    lost = [sms.code for sms in shown if sms.code and sms.code not in said]
    if lost:
        findings.broken.append(f"{len(lost)} codes were lost")
    with contextlib.closing(sqlite3.connect(place.folder / "desk.sqlite3")) as books:
        books.row_factory = sqlite3.Row
        findings.broken += ledger.discrepancies(books)
        (placed,) = books.execute("SELECT count(*) FROM orders WHERE charged > 0").fetchone()
    if placed != len(place.sms.books.charges):
        findings.broken.append(f"{placed} orders are in the books, {len(place.sms.books.charges)} were charged")
    if findings.files[-1] > findings.files[0] + _CONNECTIONS_KEPT:
        findings.broken.append("files stay open")
    if findings.tasks[-1] > findings.tasks[0] + _TASKS_AT_WORK:
        findings.broken.append("tasks stay alive")


def main() -> None:
    """Run the soak that the command line describes; exit with 1 if anything is not well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        findings = asyncio.run(soak(chosen.minutes, chosen.seed, Path(folder)))
    if findings.drift >= 0.10:
        findings.broken.append("memory grows")
    sys.stdout.write(findings.line() + "\n")
    sys.exit(bool(findings.broken))


if __name__ == "__main__":
    main()
