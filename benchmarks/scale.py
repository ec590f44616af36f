"""How the desk grows: a long past, and many live orders.

    python -m benchmarks.scale --orders 10000 100000 1000000

The past is made by `benchmarks.history`. Each question is asked a few hundred times of a database as the desk opens it,
in wall time, and in CPU time of the whole process, which a busy machine disturbs less. Beside it stands the least that
any program can do: one row, committed.
"""

import argparse
import asyncio
import contextlib
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import history
from benchmarks.report import Report, Spread, leave
from bot.domain.limits import LimitName, calendar_at
from storage import audit, ledger, orders, outbox, reports, settings
from storage.books import Comparison
from storage.database import Database
from storage.reports import Question

NO_CAPS: Final = dict.fromkeys(LimitName, 10**12)
DAY: Final = calendar_at(datetime.fromtimestamp(history.ENDS / 1000, UTC), UTC)
ROUNDS: Final = 300
BAR_MS: Final = 10.0
BOUND: Final = ("reserve", "/orders", "/history", "/usage", "/audit", "/audit of a person", "/audit of an order")
"""What must stay quick however long the past is; a report over days grows with what was ordered on them."""


Query = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class Asker:
    """Makes questions that differ from each other, as people's do."""

    orders: int
    dice: random.Random

    @property
    def member(self) -> int:
        return history.FIRST_MEMBER + self.dice.randrange(history.MEMBERS)

    @property
    def order(self) -> int:
        return self.dice.randrange(1, self.orders + 1)

    @property
    def day(self) -> str:
        moment = history.ENDS / 1000 - self.dice.randrange(1, 300) * 86_400
        return datetime.fromtimestamp(moment, UTC).date().isoformat()

    def reads(self) -> dict[str, Query]:
        """Every question that a command, a tick or a round of housekeeping asks, by name, each time about another."""
        member, order, page = self.member, self.order, partial(reports.audit_page, behind=None, limit=20)
        return {
            "/orders": partial(orders.open_of, member_id=member),
            "/history": partial(orders.newest_of, member_id=member, limit=20),
            "/usage": partial(_usage, member=member),
            "/spend of a day": partial(reports.spending, day=self.day),
            "/audit": partial(page, asked=Question()),
            "/audit of a person": partial(page, asked=Question(person=member)),
            "/audit of an order": partial(page, asked=Question(orders=(order,))),
            "/audit of a number": partial(reports.with_number, numbers=[f"628{order:010d}"], limit=5),
            "what is under watch": orders.watched,
            "what the odds learn from": partial(orders.waits, newest=1000, now=history.ENDS),
            "whether a letter is due": partial(outbox.is_due, busy=(), now=history.ENDS),
        }


def _usage(rows: sqlite3.Connection, member: int) -> None:
    for owner in (member, 0):
        for period in (DAY.window.day, DAY.window.month):
            ledger.usage(rows, owner, period)


def _reserve(asker: Asker, number: int) -> Query:
    """What `/order` does before a request leaves: the order, the hold under every limit, the audit line."""

    member = asker.member

    def body(rows: sqlite3.Connection) -> None:
        key = f"bench:{number}"
        request = orders.Request(key, member, member, None, "whatsapp", "indonesia", None, "")
        intent = orders.Intent(1, "indonesia", "WhatsApp ID", 2000, key, "{}")
        order_id = orders.insert(rows, request, DAY.window, intent, history.ENDS)
        ledger.hold(rows, order_id, 2000, NO_CAPS, DAY, history.ENDS)
        audit.write(rows, history.ENDS, member, "order.place", order_id=order_id, price=2000)
        ledger.release(rows, order_id, "benchmark", history.ENDS)
        orders.mark_refused(rows, order_id, "BENCHMARK", history.ENDS)

    return body


def _one_row(number: int) -> Query:
    return partial(settings.put, name="benchmark", value=str(number))


def _read(asker: Asker, name: str, number: int) -> Query:
    del number
    return asker.reads()[name]


def _purge(rows: sqlite3.Connection) -> None:
    orders.purge_codes(rows, history.ENDS)
    outbox.forget(rows, history.ENDS - 31 * 86_400_000)


async def measure(path: Path, count: int, report: Report) -> None:
    """Ask everything of one database."""
    size = path.stat().st_size  # noqa: ASYNC240 (nothing else runs here)
    started = time.perf_counter()
    database = await Database.open(path)
    opened = time.perf_counter() - started
    asker = Asker(count, random.Random(1))
    title = f"{count:,} past orders, {count * 3:,} entries: milliseconds"
    try:
        least = await _timed(database.transact, _one_row)
        _add(report, title, "one row, committed", least, least)
        _add(report, title, "reserve", await _timed(database.transact, partial(_reserve, asker)), least)
        for name in asker.reads():
            _add(report, title, name, await _timed(database.read, partial(_read, asker, name)), least)
        _add(report, title, "tidying up", await _timed(database.transact, lambda _: _purge, rounds=30), least)
        seconds, steps = await _compare_books(database)
    finally:
        await database.close()
    report.add(
        "The file, and how long until it is open and its books are compared",
        orders=count,
        megabytes=size / 1e6,
        bytes_per_order=size / count,
        open_ms=opened * 1000,
        books_cpu_ms=seconds * 1000,
        longest_step_ms=steps.worst,
        median_step_ms=steps.median,
    )


async def _compare_books(database: Database) -> tuple[float, Spread]:
    """CPU seconds in all, and the milliseconds of a step."""
    books, steps = Comparison(), []
    began = time.process_time()
    done = False
    while not done:
        started = time.process_time()
        done = await database.read(books.step)
        steps.append((time.process_time() - started) * 1000)
    if books.wrong:
        raise ValueError(books.wrong[0])
    return time.process_time() - began, Spread.of(steps)


async def _timed(
    run: Callable[[Query], Coroutine[None, None, Any]], make: Callable[[int], Query], rounds: int = ROUNDS
) -> tuple[Spread, Spread]:
    """The wall time and the CPU time of one question (ms)."""
    walls, cpus = [], []
    for number in range(rounds):
        query = make(number)
        started, cpu = time.perf_counter(), time.process_time()
        await run(query)
        walls.append((time.perf_counter() - started) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return Spread.of(walls), Spread.of(cpus)


def _add(report: Report, title: str, name: str, found: tuple[Spread, Spread], least: tuple[Spread, Spread]) -> None:
    wall, cpu = found
    report.add(
        title,
        what=name,
        cpu_median=cpu.median,
        cpu_p99=cpu.p99,
        median=wall.median,
        p99=wall.p99,
        times_one_row=wall.median / least[0].median,
    )
    if name in BOUND:
        orders_before = title.split(" past", maxsplit=1)[0]
        report.bar(f"{orders_before} orders: {name}: p99 ≤ {BAR_MS:.0f} ms of CPU", holds=cpu.p99 <= BAR_MS)
        report.bar(f"{orders_before} orders: {name}: p99 ≤ {BAR_MS:.0f} ms in all", holds=wall.p99 <= BAR_MS)


def main() -> None:
    """Make the databases, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--keep", type=Path, help="where databases are kept for the next run")
    arguments = parser.parse_args()
    report = Report("scale")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otpdesk-bench-")))
        for count in arguments.orders:
            made = (arguments.keep or folder) / f"history-{count}.sqlite3"
            if not made.exists():
                made.parent.mkdir(parents=True, exist_ok=True)
                history.make(made, count)
            path = folder / "desk.sqlite3"
            shutil.copyfile(made, path)
            asyncio.run(measure(path, count, report))
            path.unlink()
    leave(report)


if __name__ == "__main__":
    main()
