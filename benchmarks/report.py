"""What every part of the benchmarks says in the same way: a table for people, JSON for whoever compares."""

import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

FOLDER: Final = Path("build/bench")
WIDTH: Final = 150

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured values in one unit, put together."""

    count: int
    mean: float
    median: float
    p99: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """At least one value is needed."""
        ordered = sorted(values)
        cuts = statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) > 1 else ordered * 99
        return cls(len(ordered), statistics.mean(ordered), statistics.median(ordered), cuts[98], ordered[-1])


@dataclass(slots=True)
class Report:
    """One part's tables. `bars` are what was promised, each with whether it held."""

    part: str
    tables: dict[str, list[dict[str, Cell]]] = field(default_factory=dict)
    bars: list[tuple[str, bool]] = field(default_factory=list)

    def add(self, title: str, **cells: Cell) -> None:
        """Add a row to the table of that title."""
        self.tables.setdefault(title, []).append(dict(cells))

    def bar(self, promise: str, *, holds: bool) -> None:
        """Say whether a promise held."""
        self.bars.append((promise, holds))

    def close(self) -> int:
        """Print everything, write the JSON, and return how many bars did not hold."""
        console = Console(width=WIDTH)
        for title, rows in self.tables.items():
            console.print(_drawn(title, rows))
        for promise, holds in self.bars:
            console.print(f"{'holds' if holds else 'MISSED'}: {promise}")
        console.print(" · ".join(f"{name} {value}" for name, value in machine().items()) + "\n")
        FOLDER.mkdir(parents=True, exist_ok=True)
        content = {"part": self.part, "machine": machine(), "tables": self.tables, "bars": self.bars}
        (FOLDER / f"{self.part}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")
        return sum(not holds for _, holds in self.bars)


def machine() -> Mapping[str, str]:
    """Where and with what it was measured; the load tells how far to trust seconds."""
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "python-telegram-bot": version("python-telegram-bot"),
        "httpx": version("httpx"),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _drawn(title: str, rows: Sequence[Mapping[str, Cell]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(rows[0]):
        table.add_column(name.replace("_", " "), justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*map(_written, row.values()))
    return table


def _written(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell or "–"


def leave(report: Report) -> None:
    """End the program as the bars say."""
    sys.exit(1 if report.close() else 0)
