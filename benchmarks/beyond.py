"""Past one process: which limit binds first, and what waits then. Simulated with measured service times.

    python -m benchmarks.beyond --plots docs/images

An order passes three queues with one server each: the writer (one transaction after the other), SMSCode (requests a
minute of the account) and Telegram (messages a second of the bot). People come at random (Poisson), an hour is played
for each rate, and the dice are seeded, so every run prints the same.
"""

import argparse
import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.report import FOLDER, Report, Spread, leave

COMMITS: Final = {"order": 9, "code": 8, "end": 4}
"""Transactions of each step, as `benchmarks.smoke` counts them (a round of housekeeping more or less)."""

MESSAGES: Final = {"order": 1, "code": 2, "end": 1}
REQUESTS: Final = {"order": 5, "code": 1, "end": 0}
COMMIT_SECONDS: Final = 0.005
"""One transaction with its fsync on a plain SSD; `benchmarks.scale` measures it as "one row, committed"."""

MESSAGE_SECONDS: Final = 1 / 25
"""The desk sends 25 messages a second at most; Telegram's own limit is about thirty for a bot."""

REQUEST_SECONDS: Final = 60 / (300 - 12)
"""300 requests a minute, less twelve lists."""

CODE_AFTER: Final = 40.0
CODES: Final = 0.7
HOUR: Final = 3600.0
RATES: Final = (60, 300, 900, 1800, 2400, 3000, 3400, 3600)


@dataclass(slots=True)
class Queue:
    """One server that takes work in the order in which it comes."""

    free_at: float = 0.0
    busy: float = 0.0

    def serve(self, at: float, seconds: float) -> float:
        """When work that comes `at` is done."""
        self.busy += seconds
        self.free_at = max(self.free_at, at) + seconds
        return self.free_at


def play(orders_an_hour: float, seed: int = 1) -> tuple[dict[str, float], Spread, Spread]:
    """An hour: how busy each server was, and the waits of numbers and of codes (seconds)."""
    dice = random.Random(seed)
    writer, smscode, telegram = Queue(), Queue(), Queue()
    events: list[tuple[float, str]] = []
    at = 0.0
    while (at := at + dice.expovariate(orders_an_hour / HOUR)) < HOUR:
        events.append((at, "order"))
        came = at + dice.lognormvariate(math.log(CODE_AFTER), 0.9)
        if dice.random() < CODES:
            events.append((came, "code"))
        events.append((max(came, at + 60.0) + 60.0, "end"))
    waits: dict[str, list[float]] = {"order": [], "code": [], "end": []}
    for at, kind in sorted(event for event in events if event[0] < HOUR):
        done = writer.serve(at, COMMITS[kind] * COMMIT_SECONDS)
        if REQUESTS[kind]:
            done = max(done, smscode.serve(at, REQUESTS[kind] * REQUEST_SECONDS))
        done = max(done, telegram.serve(at, MESSAGES[kind] * MESSAGE_SECONDS))
        waits[kind].append(done - at)
    servers = {"the writer": writer, "SMSCode": smscode, "Telegram": telegram}
    busy = {name: queue.busy / HOUR for name, queue in servers.items()}
    return busy, Spread.of(waits["order"]), Spread.of(waits["code"] or [0.0])


def plot(folder: Path, played: list[tuple[int, dict[str, float], Spread, Spread]]) -> None:
    """Draw what binds, and how the desk grows with its past (from the last run of `benchmarks.scale`)."""
    import matplotlib as mpl  # noqa: PLC0415 (only who draws needs it)

    mpl.use("Agg")
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for name in played[0][1]:
        axes.plot([rate for rate, *_ in played], [100 * busy[name] for _, busy, *_ in played], marker="o", label=name)
    axes.set(xlabel="orders an hour", ylabel="busy (%)", ylim=(0, 110), title="Which limit binds one desk first")
    axes.axhline(100, color="grey", linewidth=0.8)
    axes.legend()
    figure.savefig(folder / "limits.png", dpi=110)
    found = FOLDER / "scale.json"
    if found.exists():
        _plot_growth(folder / "growth.png", json.loads(found.read_text("utf-8"))["tables"], Figure)


def _plot_growth(path: Path, tables: dict[str, list[dict[str, Any]]], figure_of: Any) -> None:
    past = {int(title.split(" ")[0].replace(",", "")): rows for title, rows in tables.items() if " past " in title}
    figure = figure_of(figsize=(7.5, 3.9), layout="constrained")
    axes = figure.subplots()
    for name in ("one row, committed", "reserve", "/orders", "/history", "/usage", "/audit", "/audit of a person"):
        medians = [next(row["cpu_median"] for row in past[count] if row["what"] == name) for count in sorted(past)]
        axes.plot(sorted(past), medians, marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="past orders", ylabel="CPU, median (ms)", title="How questions grow")
    axes.legend(fontsize="small", ncols=2)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Play, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plots", type=Path, help="draw into this folder")
    arguments = parser.parse_args()
    report = Report("beyond")
    played = []
    for rate in RATES:
        busy, number, code = play(rate)
        played.append((rate, busy, number, code))
        report.add(
            "One desk, an hour at each rate: how busy (share of one), and waits in seconds (simulated)",
            orders_an_hour=rate,
            **{name: round(share, 3) for name, share in busy.items()},
            number_median=number.median,
            number_p99=number.p99,
            code_median=code.median,
            code_p99=code.p99,
        )
    for name, seconds in (
        ("the writer", sum(COMMITS.values()) * COMMIT_SECONDS),
        ("SMSCode", (REQUESTS["order"] + CODES * REQUESTS["code"]) * REQUEST_SECONDS),
        ("Telegram", (MESSAGES["order"] + CODES * MESSAGES["code"] + MESSAGES["end"]) * MESSAGE_SECONDS),
    ):
        report.add("What each limit allows", limit=name, seconds_an_order=seconds, orders_an_hour=HOUR / seconds)
    if arguments.plots:
        plot(arguments.plots, played)
    leave(report)


if __name__ == "__main__":
    main()
