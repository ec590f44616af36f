"""The flood proof: thousands of strangers a second write to the real process, and its members must notice nothing.

    python -m tests.faults.flood --seconds 30 --rate 1000

Each message is another stranger's, so that nothing about one of them helps against the next. Members go on asking, one
stranger who was told of the button before presses it in the middle of the flood, and the desk's memory and its file are
looked at. The flooder shares the machine with the desk: the rate is what it really reached, and what the desk had not
taken when the flood was over is told.
"""

import argparse
import asyncio
import contextlib
import math
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.sandbox import bot_api, sms_api
from bot.sandbox.server import LoopbackServer
from tests.config_file import config_text
from tests.faults.desk_process import Desk, SharedClock
from tests.faults.proof import Proof

ADMIN, LATECOMER, NEWCOMER = 1001, 1003, 1004
MEMBERS = tuple(range(3001, 3006))
_FIRST_STRANGER = 10_000_000
_TICK = 0.02
_LOOK = 0.005
_PAUSE = 1.1
"""Seconds between two questions of one member: Telegram takes one message a second in a chat."""

_AT_REST = 3.0
"""Seconds until Telegram's limits have forgotten the members' first messages."""

_PATIENCE = 30.0
LONGEST_ANSWER = 2.0
_LARGEST_GROWTH = 32 * 1024
"""KiB by which the desk's memory may grow: the strangers it has let in, and the caches of its first work."""

_LET_IN_A_MINUTE = 240
_ROWS_A_STRANGER = 3
"""The update, the notice and its button."""

_ROWS_AN_ANSWER = 2


@dataclass
class Findings(Proof):
    """What was seen. `resident` in KiB, sampled through the flood; `broken` is empty when all is well."""

    seconds: float
    rate: float
    messages: int = 0
    elapsed: float = 0.0
    left: int = 0
    drained: float = 0.0
    waits: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    rows: int = 0
    file_bytes: int = 0
    notices: int = 0

    @property
    def reached(self) -> float:
        """Strangers' messages a second that there really were."""
        return self.messages / self.elapsed

    @property
    def growth(self) -> int:
        """KiB by which the desk's memory was ever larger than before the flood."""
        return max(self.resident) - self.resident[0]

    def waited(self, part: float) -> float:
        """The seconds within which that part of the members' answers came."""
        return sorted(self.waits)[min(len(self.waits), math.ceil(len(self.waits) * part)) - 1]

    def line(self) -> str:
        """The findings in one line."""
        return (
            f"flood {self.outcome}: {self.messages} messages of strangers in {self.elapsed:.1f} s "
            f"({self.reached:.0f}/s), {self.left} not taken at the end, all after {self.drained:.1f} s more; "
            f"{len(self.waits)} answers to members, p50 {self.waited(0.5):.2f} p99 {self.waited(0.99):.2f} "
            f"max {max(self.waits):.2f} s; "
            f"resident {self.resident[0]} +{self.growth} KiB; {self.rows} rows more, file {self.file_bytes} bytes, "
            f"{self.notices} strangers told"
        )


@dataclass
class Place:
    """Everything that takes part."""

    telegram: bot_api.TelegramWorld
    sms: sms_api.SmsWorld
    desk: Desk
    database: Path
    findings: Findings
    crowd: range

    def said(self, person: int) -> list[str]:
        """What the bot has said to somebody so far."""
        return [message.text for message in self.telegram.chats[person].visible() if message.from_bot]

    def rows(self) -> int:
        """All rows of the desk's file."""
        with contextlib.closing(sqlite3.connect(self.database)) as books:
            tables = books.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
            counts = [f'SELECT count(*) FROM "{name}"' for (name,) in tables]  # noqa: S608 - names of our own schema
            return sum(books.execute(count).fetchone()[0] for count in counts)

    def measure(self) -> None:
        """Look at the desk's memory."""
        status = Path(f"/proc/{self.desk.pid}/status").read_text(encoding="utf-8")
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        assert resident is not None
        self.findings.resident.append(int(resident[1]))


async def flood(seconds: float, rate: float, folder: Path, longest_answer: float = LONGEST_ANSWER) -> Findings:
    """Run the whole proof in `folder`; no member may wait longer than `longest_answer` seconds."""
    findings = Findings(seconds, rate)
    async with _open_place(findings, folder) as place:
        await _people(place)
        requests = sum(place.sms.books.requests.values())
        rows = place.rows()
        place.measure()
        members = [asyncio.create_task(_ask_on_and_on(place, member)) for member in MEMBERS]
        press = asyncio.create_task(_press_in_the_middle(place))
        try:
            await _pour(place)
            await _drain(place)
            await press
        finally:
            press.cancel()
            for member in members:
                member.cancel()
            await asyncio.gather(press, *members, return_exceptions=True)
        findings.rows = place.rows() - rows
        findings.file_bytes = place.database.stat().st_size
        findings.notices = sum(bool(place.said(stranger)) for stranger in place.crowd)
        if sum(place.sms.books.requests.values()) != requests:
            findings.broken.append("SMSCode was asked because of strangers")
        await _welcome_the_next(place)
        if await place.desk.stop() != 0:
            findings.broken.append("SIGTERM did not end the desk cleanly")
    _judge(findings, longest_answer)
    return findings


@asynccontextmanager
async def _open_place(findings: Findings, folder: Path) -> AsyncIterator[Place]:
    clock = SharedClock(1.0, time.time())
    telegram = bot_api.TelegramWorld(now=clock.now, flood_limits=True)
    sms = sms_api.SmsWorld(now=clock.now, arrival=None)
    async with LoopbackServer(bot_api.bot_app(telegram)) as chat, LoopbackServer(sms_api.sms_app(sms, "guide")) as api:
        config, database = folder / "config.toml", folder / "desk.sqlite3"
        text = config_text(
            telegram.token, chat.url, api.url, ADMIN, "guide", storage={"path": str(database)},
            alerts={"low_balance": 0, "low_disk": 0}, backup={"every": 0},
        )  # fmt: skip
        config.write_text(text, encoding="utf-8")
        desk = Desk(config, clock, folder / "desk.log")
        crowd = range(_FIRST_STRANGER, _FIRST_STRANGER + round(findings.seconds * findings.rate))
        try:
            desk.start()
            yield Place(telegram, sms, desk, database, findings, crowd)
        finally:
            await desk.kill()


async def _people(place: Place) -> None:
    """Let the members in, tell one stranger of the button, and have the crowd stand ready."""
    telegram = place.telegram
    for person in (ADMIN, LATECOMER, NEWCOMER, *MEMBERS, *place.crowd):
        telegram.add_user(person, f"Person {person}")
    for person in (ADMIN, LATECOMER, *MEMBERS):
        telegram.say(person, "/start")
    await telegram.wait_for("Hello", ADMIN, _PATIENCE)
    await telegram.wait_for("team only", LATECOMER, _PATIENCE)
    for member in MEMBERS:
        telegram.say(ADMIN, f"/allow {member} operator")
        await telegram.wait_for("You are in", member, _PATIENCE)
        await _answer(place, member)
    await asyncio.sleep(_AT_REST)


async def _pour(place: Place) -> None:
    """Each stranger says one word, as evenly as the machine allows."""
    findings, started = place.findings, time.monotonic()
    looked_at = started
    while findings.messages < len(place.crowd):
        now = time.monotonic()
        for stranger in place.crowd[findings.messages : int((now - started) * findings.rate)]:
            place.telegram.say(stranger, "/start")
            findings.messages += 1
        if now - looked_at >= 1.0:
            looked_at = now
            place.measure()
        await asyncio.sleep(_TICK)
    findings.elapsed = time.monotonic() - started
    place.measure()


async def _drain(place: Place) -> None:
    """Wait until the desk has taken everything."""
    findings, started = place.findings, time.monotonic()
    findings.left = len(place.telegram.updates.pending)
    while place.telegram.updates.pending and time.monotonic() < started + _PATIENCE:
        await asyncio.sleep(_LOOK)
    findings.drained = time.monotonic() - started
    place.measure()


async def _ask_on_and_on(place: Place, member: int) -> None:
    while True:
        place.findings.waits.append(await _answer(place, member))
        await asyncio.sleep(_PAUSE)


async def _answer(place: Place, member: int) -> float:
    """Ask who one is, and return how many seconds that took; patience has an end, which is noted as it is."""
    said, asked_at = len(place.said(member)), time.monotonic()
    place.telegram.say(member, "/whoami")
    while len(place.said(member)) == said and time.monotonic() < asked_at + _PATIENCE:
        await asyncio.sleep(_LOOK)
    return time.monotonic() - asked_at


async def _press_in_the_middle(place: Place) -> None:
    """Who was told of the button before can still ask to come in."""
    await asyncio.sleep(place.findings.seconds / 2)
    (notice,) = [message for message in place.telegram.chats[LATECOMER].visible() if message.from_bot]
    place.telegram.press(LATECOMER, LATECOMER, notice.message_id, "Ask for access")
    await place.telegram.wait_until(
        lambda: any(str(LATECOMER) in text and "asks to come in" in text for text in place.said(ADMIN)),
        _PATIENCE,
        described="the request of somebody who asked during the flood",
        chat_id=ADMIN,
    )


async def _welcome_the_next(place: Place) -> None:
    """A minute after the flood a newcomer is heard as if nothing had been."""
    if place.findings.seconds < 10:  # the short proof has no minute to wait
        return
    await asyncio.sleep(61)
    place.telegram.say(NEWCOMER, "/start")
    await place.telegram.wait_for("team only", NEWCOMER, _PATIENCE)


def _judge(findings: Findings, longest_answer: float) -> None:
    """Hold what was seen against the bounds."""
    strangers = _LET_IN_A_MINUTE * (1 + int((findings.elapsed + findings.drained) / 60))
    answers = len(findings.waits) + len(MEMBERS) + 2
    if max(findings.waits) > longest_answer:
        findings.broken.append(f"a member waited {max(findings.waits):.1f} s")
    if findings.left and findings.drained >= _PATIENCE:
        findings.broken.append("the desk has not caught up")
    if findings.growth > _LARGEST_GROWTH:
        findings.broken.append(f"memory grew by {findings.growth} KiB")
    if findings.notices > strangers:
        findings.broken.append(f"{findings.notices} strangers were told")
    if findings.rows > _ROWS_A_STRANGER * strangers + _ROWS_AN_ANSWER * answers:
        findings.broken.append(f"{findings.rows} rows were written")


def main() -> int:
    """Run the proof as the command line says and print its findings last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otpdesk-flood-") as folder:
        findings = asyncio.run(flood(chosen.seconds, chosen.rate, Path(folder)))
        if findings.broken:
            print((Path(folder) / "desk.log").read_text(encoding="utf-8")[-5000:])  # noqa: T201
    print(findings.line())  # noqa: T201
    return 1 if findings.broken else 0


if __name__ == "__main__":
    sys.exit(main())
