"""Commands: how soon they are answered, and how many a second one desk takes, beside PTB's echo bot.

    python -m benchmarks.commands --seconds 30

First 64 members, a tenth of a second away from both servers, send twenty commands a second: an answer takes the round
trips that it needs (one for the message itself; one more to SMSCode for /balance, three for /order) and what the desk
needs. The update's own way to the desk, half a round trip for any bot, is not counted.
Then without any distance, as fast as it goes and without the pace that Telegram asks for. Each bot is a process of its
own there; both simulators share another one.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.process import UNPACED, Running, enlist, running, worlds
from benchmarks.report import Report, Spread, leave

FIRST: Final = 20_001
MEMBERS: Final = 64
DISTANCE: Final = 0.1
PER_SECOND: Final = 20
OWN_SHARE_MS: Final = 60.0
TRIPS: Final = {"/orders": 1, "/balance": 2, "/order whatsapp indonesia": 4}
"""Round trips from the moment the update is handed out: one for the answer, the rest to SMSCode."""

ENOUGH: Final = {"team_daily": 10**9, "team_monthly": 10**9, "daily": 10**8, "monthly": 10**9, "active_orders": 1000}
ECHO: Final = ("-m", "benchmarks.echo")


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds for each command: the bot's CPU, the simulators' and the asker's CPU, and how long it took."""

    bot: float
    others: float
    wall: float


async def _far(folder: Path, seconds: float, report: Report) -> None:
    telegram, sms = worlds()
    people = range(FIRST, FIRST + MEMBERS)
    enlist(folder, telegram, people)
    budget = {"requests_per_minute": 60_000}
    async with running(
        folder, telegram, sms, limits=ENOUGH, smscode=budget, ordering={"cancel_before_expiry": 0}
    ) as desk:
        await desk.has_settled()
        telegram.distance = sms.distance = DISTANCE
        answered: dict[str, list[float]] = defaultdict(list)
        dice, asking = random.Random(1), []
        for number in range(round(seconds * PER_SECOND)):
            command = dice.choices(list(TRIPS), (8, 6, 2))[0]
            asking.append(asyncio.create_task(_ask(desk, FIRST + number % MEMBERS, command, answered)))
            await asyncio.sleep(1 / PER_SECOND)
        await asyncio.gather(*asking)
    for command, waits in answered.items():
        spread, needed = Spread.of(waits), TRIPS[command] * DISTANCE * 1000
        report.add(
            f"{MEMBERS} members, {PER_SECOND} commands a second, {DISTANCE * 1000:.0f} ms to each server: milliseconds",
            command=command, answered=spread.count, round_trips=needed, median=spread.median, p99=spread.p99,
            own_median=spread.median - needed, own_p99=spread.p99 - needed,
        )  # fmt: skip
        report.bar(f"{command}: p99 ≤ round trips + {OWN_SHARE_MS:.0f} ms", holds=spread.p99 <= needed + OWN_SHARE_MS)


async def _ask(desk: Running, member: int, command: str, answered: dict[str, list[float]]) -> None:
    started = time.perf_counter()
    said = desk.telegram.say(member, command)
    await desk.telegram.wait_for(lambda message: message.from_bot, member, 120, after_message_id=said.message_id)
    answered[command].append((time.perf_counter() - started) * 1000)


async def _rate(words: Sequence[str], commands: int) -> Rate:
    """What one of so many /orders takes, each authorised, stored first and answered; the echo only answers."""
    telegram, sms = worlds()
    people = range(FIRST, FIRST + commands)
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        enlist(Path(folder), telegram, people)
        async with running(Path(folder), telegram, sms, words) as bot:
            await bot.has_settled()
            await _flood(bot, people)  # opens the connections
            return await _flood(bot, people)


async def _flood(bot: Running, people: range) -> Rate:
    calls = bot.telegram.calls
    seen, answers = len(calls), 0
    own, cpu, wall = time.process_time(), bot.cpu, time.perf_counter()
    for person in people:
        bot.telegram.say(person, "/orders")
    while answers < len(people):
        await asyncio.sleep(0.02)
        new = calls[seen:]
        seen += len(new)
        answers += sum(call.method == "sendMessage" for call in new)
    wall = time.perf_counter() - wall
    await asyncio.sleep(0.5)  # what is written down afterwards belongs to it
    count = len(people)
    return Rate((bot.cpu - cpu) / count, (time.process_time() - own) / count, wall / count)


async def measure(seconds: float, commands: int, folder: Path, report: Report) -> None:
    """First with a distance, then without."""
    await _far(folder, seconds, report)
    title = f"{commands} members at once, no distance, no pace: each bot in its own process, the simulators in another"
    echo, desk = await _rate(ECHO, commands), await _rate(UNPACED, commands)
    for name, rate in (("PTB's echo", echo), ("the desk, /orders", desk)):
        report.add(
            title, what=name, cpu_ms_each=1000 * rate.bot, a_second_of_cpu=1 / rate.bot, a_second=1 / rate.wall,
            simulators_cpu_ms_each=1000 * rate.others, cpu_times_the_echo=rate.bot / echo.bot,
        )  # fmt: skip
    report.bar("≥ 250 authorised /orders a second on 2 cores", holds=desk.wall <= 1 / 250)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--commands", type=int, default=400)
    arguments = parser.parse_args()
    report = Report("commands")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        asyncio.run(measure(arguments.seconds, arguments.commands, Path(folder), report))
    leave(report)


if __name__ == "__main__":
    main()
