"""From the poll that saw a code to the message that carries it.

    python -m benchmarks.overhead --orders 25 --rounds 8

The real desk, the real HTTP, SQLite with every fsync, and simulators without latency, all in this process. Each of
`orders` members has one live order and a chat of their own; in each round every order gets an SMS at its own moment of
the polling interval. Measured is the time from the answer that showed the code to the arrival of `sendMessage`.
"""

import argparse
import asyncio
import logging
import random
import tempfile
from pathlib import Path

from benchmarks.report import Report, Spread, leave
from bot.sandbox.bot_api import ADA, TelegramWorld
from bot.sandbox.sms_api import SmsWorld
from tests.clocks import FastClock
from tests.scene import Scene, open_scene

FIRST_MEMBER = 20_001
INTERVAL = 5.0


async def measure(orders: int, rounds: int, folder: Path) -> list[float]:
    """Milliseconds from shown to sent, one for each code."""
    clock = FastClock(1.0)
    telegram = TelegramWorld(now=clock.now)
    telegram.add_user(ADA, "Ada")
    members = range(FIRST_MEMBER, FIRST_MEMBER + orders)
    for member in members:
        telegram.add_user(member, f"Member {member}")
    sms = SmsWorld(now=clock.now, arrival=None, balance=100_000_000, requests_per_minute=None)
    limits = {"team_daily": 900_000_000, "team_monthly": 900_000_000}
    async with open_scene(
        folder,
        telegram=telegram,
        sms=sms,
        clock=clock,
        members=False,
        limits=limits,
        smscode={"requests_per_minute": 6000},
        polling={"interval": INTERVAL},
    ) as scene:
        await _open_orders(scene, members)
        dice = random.Random(1)
        for number in range(rounds):
            await asyncio.gather(*(_arrive(scene, order.id, number, dice) for order in sms.live_orders()))
            await asyncio.sleep(INTERVAL * 3 + 1)
        return _delays(scene)


async def _open_orders(scene: Scene, members: range) -> None:
    scene.say(ADA, "/start")
    await scene.hears("Hello", ADA)
    for member in members:
        scene.telegram.say(member, "/start")
        await scene.ask(ADA, f"/allow {member} operator", "operator now")
        scene.say(member, "/order whatsapp indonesia,vietnam,india")
    for member in members:
        await scene.hears("📱", member, anew=False, patience=60)


async def _arrive(scene: Scene, order_id: str, number: int, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, INTERVAL))
    scene.sms.arrive(order_id, code=f"{number:02d}{dice.randrange(10**6):06d}")


def _delays(scene: Scene) -> list[float]:
    sent = {
        str(call.params["text"]): call.at
        for call in scene.telegram.calls
        if call.method == "sendMessage" and "🔑" in str(call.params.get("text"))
    }
    delays = []
    for sms in scene.sms.books.messages:
        at = next((at for text, at in sent.items() if sms.code and sms.code in text), None)
        if sms.shown_at is not None and at is not None:
            delays.append((at - sms.shown_at) * 1000)
    return delays


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    report = Report("overhead")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        spread = Spread.of(asyncio.run(measure(arguments.orders, arguments.rounds, Path(folder))))
    report.add(
        "From the poll that saw a code to sendMessage: milliseconds",
        live_orders=arguments.orders,
        codes=spread.count,
        mean=spread.mean,
        median=spread.median,
        p99=spread.p99,
        worst=spread.worst,
    )
    report.bar("≤ 10 ms in the middle", holds=spread.median <= 10)
    report.bar("≤ 50 ms p99", holds=spread.p99 <= 50)
    leave(report)


if __name__ == "__main__":
    main()
