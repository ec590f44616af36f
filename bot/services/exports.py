"""Orders as CSV: no code, no token, and no cell that a spreadsheet would carry out as a formula."""

import csv
import io
import sqlite3
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import date, tzinfo
from typing import Final, TextIO

from bot.clock import from_milliseconds
from bot.domain.periods import Period
from bot.services.desk import Desk
from bot.services.reports import By, Report, Totals
from storage import audit, reports
from storage.reports import Row

PAGE: Final = 500
"""Orders read at once: a code never waits for more than that."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_MOMENTS: Final = {"created": "created_at", "placed": "placed_at", "ended": "ended_at"}

ORDER_COLUMNS: Final = (
    "order",
    "day",
    "created",
    "placed",
    "ended",
    "member_id",
    "member",
    "chat_id",
    "platform",
    "country",
    "operator",
    "product",
    "number",
    "state",
    "price",
    "held",
    "charged",
    "refunded",
    "refund_assumed",
    "spent",
    "messages",
    "seconds_to_code",
    "note",
    "error",
)
"""The header of an export; money is IDR, moments are ISO 8601 with the team's offset."""

_ORDER_FIELDS: Final = {"order": "id", "number": "phone_number", "seconds_to_code": "seconds"}
_REPORT_COLUMNS: Final = ("by", "name", "orders", "waiting", "codes", "success_percent", "median_seconds", "spent")


def harmless(cell: object) -> str:
    """A cell that every spreadsheet shows as it is: what begins like a formula gets an apostrophe in front.

    The rule is OWASP's on CSV injection; letters of full width count as the ones they look like.
    """
    text = "" if cell is None else str(cell)
    first = unicodedata.normalize("NFKC", text[:1]) or text[:1]
    is_number = isinstance(cell, int)
    return f"'{text}" if first.startswith(_FORMULA) and not is_number else text


def as_csv(rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV, each cell harmless."""
    written = io.StringIO()
    csv.writer(written).writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def order_lines(orders: Iterable[Row], zone: tzinfo) -> str:
    """The lines of some orders, under `ORDER_COLUMNS`."""
    return as_csv([_cell(order, column, zone) for column in ORDER_COLUMNS] for order in orders)


def header() -> str:
    """The first line of an export."""
    return as_csv([ORDER_COLUMNS])


async def count(desk: Desk, period: Period) -> int:
    """How many orders a period has."""
    first, last = str(period.first), str(period.last)
    return await desk.database.read(lambda connection: reports.count_orders(connection, first, last))


async def note(desk: Desk, admin_id: int, period: Period, orders: int) -> None:
    """Write into the audit that somebody takes a period's orders out of the desk."""
    await desk.transact(
        lambda connection: audit.write(
            connection, desk.now, admin_id, "report.export", period=str(period), orders=orders
        )
    )


async def order_pages(desk: Desk, period: Period) -> AsyncIterator[tuple[int, str]]:
    """The lines of a period's orders, page by page, each with how many orders it holds."""
    for day in period.days:
        after = 0
        while page := await desk.database.read(_page(day, after)):
            yield len(page), order_lines(page, desk.settings.limits.zone)
            after = int(page[-1]["id"] or 0)


def _page(day: str, after: int) -> Callable[[sqlite3.Connection], list[Row]]:
    return lambda connection: reports.export_page(connection, day, after, PAGE)


def write_all(
    connection: sqlite3.Connection,
    period: Period | None,
    zone: tzinfo,
    out: TextIO,
    tell: Callable[[int, int], None],
) -> int:
    """Write an export of the period (None: of everything) and return how many orders it has.

    Each page is a read of its own, short enough not to hold up a desk that runs beside it. `tell` hears how many of
    how many orders are written.
    """
    if period is None:
        days = reports.days_with_orders(connection)
        first, last = map(date.fromisoformat, days) if days else (date.min, date.min)
        period = Period(first, last)
    total, done = reports.count_orders(connection, str(period.first), str(period.last)), 0
    out.write(header())
    for day in period.days:
        after = 0
        while page := reports.export_page(connection, day, after, PAGE):
            out.write(order_lines(page, zone))
            done, after = done + len(page), int(page[-1]["id"] or 0)
            tell(done, max(total, done))
    return done


def report_csv(report: Report) -> str:
    """The whole report as CSV: each breakdown under the other, then the total."""
    rows = [_report_row(by, name, totals) for by in By for name, totals in report.parts[by]]
    return as_csv([_REPORT_COLUMNS, *rows, _report_row("total", str(report.period), report.total)])


def _report_row(by: str, name: str, totals: Totals) -> list[object]:
    success = None if totals.success is None else f"{totals.success * 100:.1f}"
    seconds = totals.typical_seconds
    return [str(by), name, totals.placed, totals.waiting, totals.codes, success, seconds, totals.spent]


def _cell(order: Mapping[str, str | int | None], column: str, zone: tzinfo) -> object:
    if column not in _MOMENTS:
        return order[_ORDER_FIELDS.get(column, column)]
    moment = order[_MOMENTS[column]]
    return from_milliseconds(int(moment)).astimezone(zone).isoformat(timespec="seconds") if moment else None
