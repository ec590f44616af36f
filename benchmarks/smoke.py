"""A quick look for what got dearer: requests, commits and memory are counted, seconds are not.

    python -m benchmarks.smoke

What is counted does not depend on how busy the machine is, so it can fail in CI. A number that went down may be written
down here; one that goes up needs a reason.
"""

import asyncio
import gc
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report, leave
from bot.sandbox.bot_api import OMAR
from bot.services import ordering
from bot.services.ordering import OrderCommand
from tests.scene import Scene, open_scene

LIVE: Final = 20
TICKS: Final = 10
LIST: Final = ("GET", "/v1/orders/active")
READ: Final = ("GET", "/v1/orders/{id}")
ENOUGH: Final = {"team_daily": 10**9, "team_monthly": 10**9, "daily": 10**8, "monthly": 10**9, "active_orders": 1000}


@dataclass(slots=True)
class Counted:
    """What something took."""

    commits: int = 0
    reads: int = 0
    requests: int = 0
    messages: int = 0


async def counting(scene: Scene, work: Callable[[], Awaitable[Any]]) -> Counted:
    """Run `work` and count what the desk did meanwhile."""
    database = scene.app.desk.database
    counted = Counted()
    transact, read = database.transact, database.read

    async def counted_transact(body: Any) -> Any:
        counted.commits += 1
        return await transact(body)

    async def counted_read(query: Any) -> Any:
        counted.reads += 1
        return await read(query)

    requests, calls = scene.sms.books.requests.total(), len(scene.telegram.calls)
    database.transact, database.read = counted_transact, counted_read  # type: ignore[method-assign]
    try:
        await work()
    finally:
        database.transact, database.read = transact, read  # type: ignore[method-assign]
    counted.requests = scene.sms.books.requests.total() - requests
    counted.messages = sum(call.method == "sendMessage" for call in scene.telegram.calls[calls:])
    return counted


async def measure(folder: Path, report: Report) -> None:
    """Count on the official contract, with orders that wait."""
    async with open_scene(folder, contract="official", limits=ENOUGH) as scene:
        await scene.order()  # whatever is learned once is learned by now

        async def ask() -> None:
            await scene.ask(OMAR, "/orders", "#1")
            await scene.settle(0.3)

        async def order() -> None:
            await scene.order("telegram indonesia")
            await scene.settle(0.3)

        async def code() -> None:
            scene.sms.arrive(next(iter(scene.sms.books.orders)), code="471100")
            await scene.hears("471100", OMAR)
            await scene.settle(0.3)

        _allow(report, "/orders", await counting(scene, ask), commits=10, requests=3, messages=1)
        _allow(report, "/order", await counting(scene, order), commits=16, requests=6, messages=2)
        _allow(report, "a code", await counting(scene, code), commits=12, requests=4, messages=2)
        for number in range(LIVE):
            command = OrderCommand(f"smoke-{number}", OMAR, OMAR, None, "whatsapp", ("indonesia", "vietnam", "india"))
            await ordering.place(scene.app.desk, command)
        await scene.settle(1.0)
        await _ticks(scene, report)


async def _ticks(scene: Scene, report: Report) -> None:
    async def ticks(number: int) -> None:
        seen = scene.sms.books.requests[LIST] + number
        await scene.until(lambda: scene.sms.books.requests[LIST] >= seen, 60)

    await ticks(2)
    gc.collect()
    blocks, reads = sys.getallocatedblocks(), scene.sms.books.requests[READ]
    counted = await counting(scene, lambda: ticks(TICKS))
    gc.collect()
    single = scene.sms.books.requests[READ] - reads
    title = f"{TICKS} ticks over {LIVE + 2} live orders"
    _allow(report, title, counted, commits=8, requests=TICKS + 4, messages=0)
    report.add("Beside the ticks", what="orders read one by one", counted=single, allowed=0)
    report.bar("no order is read by itself while the list shows it", holds=single == 0)
    grown = sys.getallocatedblocks() - blocks
    report.add("Beside the ticks", what="memory blocks more than before", counted=grown, allowed=4000)
    report.bar("ticks leave nothing behind in memory", holds=grown <= 4000)


def _allow(report: Report, what: str, counted: Counted, *, commits: int, requests: int, messages: int) -> None:
    report.add(
        "Counted (allowed)",
        what=what,
        commits=f"{counted.commits} ({commits})",
        requests=f"{counted.requests} ({requests})",
        messages=f"{counted.messages} ({messages})",
        reads=counted.reads,
    )
    holds = counted.commits <= commits and counted.requests <= requests and counted.messages <= messages
    report.bar(f"{what} takes no more than it did", holds=holds)


def main() -> None:
    """Count and print; the status says whether something got dearer."""
    logging.getLogger().setLevel(logging.ERROR)
    report = Report("smoke")
    with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
        asyncio.run(measure(Path(folder), report))
    leave(report)


if __name__ == "__main__":
    main()
