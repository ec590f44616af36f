"""From the poll that saw a code to the message that carries it.

    python -m benchmarks.overhead --orders 300 --codes 30 --rounds 6

The desk is a process of its own, with real HTTP and SQLite with every fsync; both simulators share another process,
without any distance. Each of `orders` members has one live order and a chat of their own; in each round so many of them
get their SMS within one polling interval, so that one list shows them all. Measured is the time from that answer to the
arrival of `sendMessage`. Telegram's own limits are left out: the desk would send 29 a second at most.
"""

import argparse
import asyncio
import random
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.process import UNPACED, Running, enlist, running, worlds
from benchmarks.report import Report, Spread, leave

INTERVAL: Final = 5.0
FIRST: Final = 20_001
ENOUGH: Final = {"team_daily": 10**9, "team_monthly": 10**9}
_PATIENCE: Final = 60.0


async def measure(orders: int, codes: int, rounds: int, folder: Path) -> list[float]:
    """Milliseconds from shown to sent, one for each code."""
    telegram, sms = worlds()
    people = range(FIRST, FIRST + orders)
    enlist(folder, telegram, people)
    async with running(
        folder, telegram, sms, UNPACED,
        limits=ENOUGH, smscode={"requests_per_minute": 60_000}, polling={"interval": INTERVAL},
    ) as desk:  # fmt: skip
        await desk.has_settled()
        await _open_orders(desk, people)
        waiting, dice = list(sms.live_orders()), random.Random(1)
        for number in range(rounds):
            chosen = dice.sample(waiting, codes)
            await asyncio.gather(*(_arrive(desk, order.id, number, dice) for order in chosen))
            await asyncio.sleep(INTERVAL + 2)
        return _delays(desk)


async def _open_orders(desk: Running, people: range) -> None:
    for person in people:
        desk.telegram.say(person, "/order whatsapp indonesia")
    for person in people:
        await desk.telegram.wait_for("📱", person, _PATIENCE)
    await asyncio.sleep(INTERVAL)


async def _arrive(desk: Running, order_id: str, number: int, dice: random.Random) -> None:
    await asyncio.sleep(dice.uniform(0, INTERVAL / 10))
    desk.sms.arrive(order_id, code=f"{number:02d}{dice.randrange(10**6):06d}")


def _delays(desk: Running) -> list[float]:
    sent = {
        str(call.params["text"]): call.at
        for call in desk.telegram.calls
        if call.method == "sendMessage" and "🔑" in str(call.params.get("text"))
    }
    delays = []
    for sms in desk.sms.books.messages:
        at = next((at for text, at in sent.items() if sms.code and sms.code in text), None)
        if sms.shown_at is not None and at is not None:
            delays.append((at - sms.shown_at) * 1000)
    return delays


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300)
    parser.add_argument("--codes", type=int, default=30, help="how many come within one tick")
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    report = Report("overhead")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        spread = Spread.of(asyncio.run(measure(arguments.orders, arguments.codes, arguments.rounds, Path(folder))))
    report.add(
        "From the poll that saw a code to sendMessage: milliseconds",
        live_orders=arguments.orders,
        codes_a_tick=arguments.codes,
        codes=spread.count,
        mean=spread.mean,
        median=spread.median,
        p99=spread.p99,
        worst=spread.worst,
    )
    report.bar(f"{arguments.codes} codes in one tick: ≤ 10 ms in the middle", holds=spread.median <= 10)
    report.bar(f"{arguments.codes} codes in one tick: ≤ 50 ms p99", holds=spread.p99 <= 50)
    leave(report)


if __name__ == "__main__":
    main()
