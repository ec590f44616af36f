"""Commands: how soon they are answered, and how many a second one desk takes, beside PTB's echo bot.

    python -m benchmarks.commands --seconds 30

First 64 members, a tenth of a second away from both servers, send twenty commands a second: an answer takes the round
trips that it needs (two: the update to us, the message back; one more to SMSCode for /balance, three for /order) and
what the desk itself needs. Then without any distance, as fast as it goes, in CPU time, simulators included in both.
"""

import argparse
import asyncio
import logging
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

from benchmarks.report import Report, Spread, leave
from bot.sandbox.bot_api import TelegramWorld, bot_app
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import SmsWorld
from tests.clocks import FastClock
from tests.scene import Scene, open_scene

FIRST: Final = 20_001
MEMBERS: Final = 64
DISTANCE: Final = 0.1
PER_SECOND: Final = 20
OWN_SHARE_MS: Final = 60.0
TRIPS: Final = {"/orders": 1, "/balance": 2, "/order whatsapp indonesia": 4}
"""Round trips from the moment the update is handed out: one for the answer, the rest to SMSCode."""

ENOUGH: Final = {"team_daily": 10**9, "team_monthly": 10**9, "daily": 10**8, "monthly": 10**9, "active_orders": 1000}


def _worlds(distance: float) -> tuple[FastClock, TelegramWorld, SmsWorld]:
    clock = FastClock(1.0)
    telegram = TelegramWorld(now=clock.now)
    sms = SmsWorld(now=clock.now, arrival=None, balance=10**9, requests_per_minute=None)
    sms.distance = distance
    for product in sms.products("indonesia", "whatsapp"):
        product.available = 10**6
    return clock, telegram, sms


async def _far(telegram: TelegramWorld, folder: Path, seconds: float, report: Report) -> None:
    clock, telegram, sms = _worlds(DISTANCE)
    async with open_scene(
        folder, telegram=telegram, sms=sms, clock=clock, members=False, contract="official", limits=ENOUGH,
        smscode={"requests_per_minute": 60_000},
    ) as scene:  # fmt: skip
        for member in range(FIRST, FIRST + MEMBERS):
            await scene.hire(member, f"Member {member}")
        answered: dict[str, list[float]] = defaultdict(list)
        dice, asking = random.Random(1), []
        for number in range(round(seconds * PER_SECOND)):
            command = dice.choices(list(TRIPS), (8, 6, 2))[0]
            asking.append(asyncio.create_task(_ask(scene, FIRST + number % MEMBERS, command, answered)))
            await asyncio.sleep(1 / PER_SECOND)
        await asyncio.gather(*asking)
    for command, waits in answered.items():
        spread, needed = Spread.of(waits), (TRIPS[command] - 1) * DISTANCE * 1000
        report.add(
            f"{MEMBERS} members, {PER_SECOND} commands a second, SMSCode {DISTANCE * 1000:.0f} ms away: milliseconds",
            command=command, answered=spread.count, round_trips=needed, median=spread.median, p99=spread.p99,
            own_median=spread.median - needed, own_p99=spread.p99 - needed,
        )  # fmt: skip
        report.bar(f"{command}: p99 ≤ round trips + {OWN_SHARE_MS:.0f} ms", holds=spread.p99 <= needed + OWN_SHARE_MS)


async def _ask(scene: Scene, member: int, command: str, answered: dict[str, list[float]]) -> None:
    started = time.perf_counter()
    said = scene.telegram.say(member, command)
    await scene.telegram.wait_for(lambda _: True, member, 120, after_message_id=said.message_id)
    answered[command].append((time.perf_counter() - started) * 1000)


async def _desk_rate(folder: Path, commands: int) -> tuple[float, float]:
    """CPU and wall seconds for that many /orders, each authorised, stored first and answered."""
    clock, telegram, sms = _worlds(0.0)
    async with open_scene(
        folder, telegram=telegram, sms=sms, clock=clock, members=False, contract="official", limits=ENOUGH
    ) as scene:
        for member in range(FIRST, FIRST + commands):
            await scene.hire(member, f"Member {member}")
        return await _flood(telegram, commands, "/orders")


async def _echo_rate(commands: int) -> tuple[float, float]:
    """The same for a bot of PTB's own kind that keeps nothing, asks nobody and answers what it heard."""
    _, telegram, _ = _worlds(0.0)
    for member in range(FIRST, FIRST + commands):
        telegram.add_user(member, f"Member {member}")
        telegram.chats[member].started = True

    async def echo(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
        if update.message is not None:
            await update.message.reply_text(update.message.text or "")

    async with LoopbackServer(bot_app(telegram)) as server:
        builder = Application.builder().token(telegram.token).base_url(f"{server.url}/bot").concurrent_updates(64)
        application: Application[Any, Any, Any, Any, Any, Any] = builder.connection_pool_size(64).build()
        application.add_handler(MessageHandler(filters.ALL, echo))
        async with application:
            await application.start()
            assert application.updater is not None  # noqa: S101 (it is built with one)
            await application.updater.start_polling()
            rate = await _flood(telegram, commands, "hello")
            await application.updater.stop()
            await application.stop()
    return rate


async def _flood(telegram: TelegramWorld, commands: int, text: str) -> tuple[float, float]:
    members = range(FIRST, FIRST + commands)
    before = sum(call.method == "sendMessage" for call in telegram.calls)
    cpu, wall = time.process_time(), time.perf_counter()
    for member in members:
        telegram.say(member, text)
    sent = 0
    while sent < commands:
        await asyncio.sleep(0.02)
        sent = sum(call.method == "sendMessage" for call in telegram.calls) - before
    return time.process_time() - cpu, time.perf_counter() - wall


async def measure(seconds: float, commands: int, folder: Path, report: Report) -> None:
    """First with a distance, then without."""
    await _far(TelegramWorld(), folder, seconds, report)
    (folder / "desk.sqlite3").unlink()
    title = f"{commands} members at once, no distance: both simulators run in the same process"
    echo_cpu, echo_wall = await _echo_rate(commands)
    desk_cpu, desk_wall = await _desk_rate(folder, commands)
    for name, cpu, wall in (("PTB's echo", echo_cpu, echo_wall), ("the desk, /orders", desk_cpu, desk_wall)):
        report.add(
            title, what=name, cpu_ms_each=1000 * cpu / commands, a_second_of_cpu=commands / cpu,
            a_second=commands / wall, times_the_echo=cpu / echo_cpu,
        )  # fmt: skip
    report.bar("≥ 250 authorised /orders a second of CPU", holds=commands / desk_cpu >= 250)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--commands", type=int, default=400)
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    report = Report("commands")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        asyncio.run(measure(arguments.seconds, arguments.commands, Path(folder), report))
    leave(report)


if __name__ == "__main__":
    main()
