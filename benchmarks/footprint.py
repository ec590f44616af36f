"""What the desk takes: until it is there, while nothing happens, and with ten thousand live orders.

    python -m benchmarks.footprint --past 1000000 --live 10000

The desk runs as its own process, `otpdesk run`, between simulators in this one; its CPU time and memory are what the
system says (`/proc`).
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import history
from benchmarks.process import OWNER, running, worlds
from benchmarks.report import Report, Spread, leave
from bot.clock import SystemClock
from bot.domain.limits import Window
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import SmsWorld, sms_app
from bot.sms.budget import RequestBudget
from bot.sms.client import make_client
from bot.sms.official import OfficialAdapter
from bot.sms.wire import Wire
from storage import orders


async def imports(report: Report) -> None:
    """How long `bot.cli` takes to import, beside the interpreter alone."""
    for name, code in (("nothing", "pass"), ("bot.cli", "import bot.cli"), ("bot.app", "import bot.app")):
        cpus = []
        for _ in range(7):
            before = os.times()
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            await process.wait()
            after = os.times()
            cpus.append(after.children_user + after.children_system - before.children_user - before.children_system)
        report.add(
            "Importing, in a fresh interpreter: CPU seconds", what=name, least=min(cpus), median=Spread.of(cpus).median
        )
        if name == "bot.cli":
            report.bar("importing bot.cli ≤ 0.4 s (CPU)", holds=min(cpus) <= 0.4)


async def start(report: Report, folder: Path, past: int, kept: Path | None) -> None:
    """From the start of the process to its first question to Telegram, on an empty and on a long past."""
    for count in (0, past):
        path = folder / "desk.sqlite3"
        path.unlink(missing_ok=True)
        if count:
            made = (kept or folder) / f"history-{count}.sqlite3"
            if not made.exists():
                history.make(made, count)
            shutil.copyfile(made, path)
        telegram, sms = worlds()
        async with running(folder, telegram, sms) as desk:
            wall, cpu = await desk.asked_for_updates()
        report.add("Start to the first getUpdates: seconds", past_orders=count, wall=wall, cpu=cpu)
        report.bar(f"start with {count:,} past orders to getUpdates ≤ 1.5 s (CPU)", holds=cpu <= 1.5)
        path.unlink()


async def idle(report: Report, folder: Path, live: int, seconds: float) -> None:
    """Memory and CPU while `live` orders wait and nothing else happens."""
    telegram, sms = worlds()
    await _write_live(folder / "desk.sqlite3", sms, live)
    async with running(folder, telegram, sms) as desk:
        await desk.asked_for_updates()
        await asyncio.sleep(12.0)
        lists, cpu, began = sms.books.requests["GET", "/v1/orders/active"], desk.cpu, time.monotonic()
        await asyncio.sleep(seconds)
        ticks = sms.books.requests["GET", "/v1/orders/active"] - lists
        used, passed = desk.cpu - cpu, time.monotonic() - began
        report.add(
            "Nothing happens: what watching takes",
            live_orders=live,
            megabytes=desk.megabytes,
            percent_of_a_core=100 * used / passed,
            ticks=ticks,
            cpu_ms_a_tick=1000 * used / ticks if ticks else None,
        )
        if live > 1000:
            report.bar(f"{live:,} live orders: a tick ≤ 300 ms CPU", holds=bool(ticks) and used / ticks <= 0.3)
            report.bar(f"{live:,} live orders: ≤ 150 MB", holds=desk.megabytes <= 150)
        else:
            report.bar(f"{live} live orders: ≤ 90 MB", holds=desk.megabytes <= 90)
            report.bar(f"{live} live orders: ≤ 0.3 % of a core", holds=used / passed <= 0.003)
    (folder / "desk.sqlite3").unlink()


async def _write_live(path: Path, sms: SmsWorld, live: int) -> None:
    """Place orders at SMSCode and write them down as a desk has them that has looked at each before."""
    history.make(path, 1)
    (product, *_) = sms.products("indonesia", "whatsapp")
    numbers = {str(order.number): order.phone_number for order in (sms.create_order(product.id) for _ in range(live))}
    clock, day = SystemClock(), Window("2026-01-01", "2026-01")
    async with (
        LoopbackServer(sms_app(sms, "official")) as api,
        make_client(api.url, "sandbox") as client,
    ):
        shown = await OfficialAdapter(Wire(client, RequestBudget(6000, clock), clock)).live()
    now = round(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for remote in shown:
            key = f"live:{remote.remote_id}"
            asked = orders.Request(key, history.FIRST_MEMBER, OWNER, None, "whatsapp", "indonesia", None, "")
            intent = orders.Intent(1, "indonesia", "WhatsApp", product.price, key, "{}")
            order_id = orders.insert(connection, asked, day, intent, now)
            rented = replace(remote, phone_number=numbers[remote.remote_id])
            orders.mark_placed(connection, order_id, rented, now)
        connection.execute("COMMIT")


async def measure(arguments: argparse.Namespace, folder: Path, report: Report) -> None:
    """Everything, one after the other."""
    await imports(report)
    await start(report, folder, arguments.past, arguments.keep)
    await idle(report, folder, 25, arguments.seconds)
    await idle(report, folder, arguments.live, arguments.seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--past", type=int, default=100_000)
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--keep", type=Path, help="where databases are kept for the next run")
    arguments = parser.parse_args()
    report = Report("footprint")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        asyncio.run(measure(arguments, Path(folder), report))
    leave(report)


if __name__ == "__main__":
    main()
