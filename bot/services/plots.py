"""What is drawn of a report."""

from collections.abc import Callable
from typing import Final

from bot.services.easel import Plot
from bot.services.reports import By, Report, Totals

_MOST_BARS: Final = 10
_MOST_DAYS: Final = 62


def plot_of(report: Report, by: By, money: Callable[[int], str], subtitle: str) -> Plot:
    """The plot of one breakdown of a report: days, or months where they are many, as columns, all else as bars."""
    parts = _by_month(report) if by is By.DAY and len(report.period) > _MOST_DAYS else report.parts[by]
    if by is not By.DAY and len(parts) > _MOST_BARS:
        rest = parts[_MOST_BARS:]
        parts = [*parts[:_MOST_BARS], (f"{len(rest)} others", Totals(spent=sum(totals.spent for _, totals in rest)))]
    values = [totals.spent for _, totals in parts]
    return Plot(
        kind="days" if by is By.DAY else "names",
        title=money(report.total.spent),
        subtitle=subtitle,
        labels=[_day(name) if by is By.DAY else name for name, _ in parts],
        values=values,
        texts=[money(value) for value in values],
        ticks=[(tick, money(tick)) for tick in scale(max([*values, 0]))],
    )


def scale(most: int) -> list[int]:
    """A few round values from 0 to about `most`, to be written along an axis."""
    if most <= 0:
        return [0]
    step = 1
    while most > 4 * step:
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return list(range(0, most + 1, step))


def _by_month(report: Report) -> list[tuple[str, Totals]]:
    months: dict[str, Totals] = {}
    for day, totals in report.parts[By.DAY]:
        months.setdefault(day[:7], Totals()).spent += totals.spent
    return list(months.items())


def _day(booked: str) -> str:
    """`2026-03-14` as it fits under a column; a month is `3.26`."""
    year, month, *day = booked.split("-")
    return f"{int(day[0])}.{int(month)}." if day else f"{int(month)}.{year[2:]}"
