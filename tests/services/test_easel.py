"""Pictures: drawn whatever people are called, one at a time, by a process that never stays behind."""

import asyncio
from datetime import date
from pathlib import Path

import pytest

from bot.chat.wording import format_amount
from bot.domain.periods import Period
from bot.sandbox.telegram_pictures import picture_of
from bot.services import easel
from bot.services.easel import Easel, Plot
from bot.services.plots import plot_of, scale
from bot.services.reports import By, Report, Totals

NASTY = ("$x^{", "\\frac{", "محمد 😀 日本", "W" * 200, "\u202eevil", "a\nb", "<b>&", "")
HANGS = "import sys, time\nopen(sys.argv[0] + '.ran', 'w').close()\ntime.sleep(60)\n"


def a_report(values: list[int], names: tuple[str, ...] = NASTY) -> Report:
    days = Period(date(2026, 1, 1), date(2026, 12, 31))
    parts = {
        By.DAY: [(day, Totals(spent=values[place % len(values)])) for place, day in enumerate(days.days)],
        **{by: [(name, Totals(spent=values[0])) for name in names] for by in (By.MEMBER, By.PLATFORM, By.COUNTRY)},
    }
    return Report(days, Totals(spent=sum(values)), parts)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that runs many tests at once draws slowly."""
    monkeypatch.setattr(easel, "PATIENCE", 100.0)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("by", "values"), [(By.MEMBER, [10**9, 0, 5]), (By.DAY, [0])])
async def test_any_name_and_any_amount_can_be_drawn(tmp_path: Path, by: By, values: list[int]) -> None:
    plot = plot_of(a_report(values), by, format_amount, "a <b>subtitle</b> of $1")
    picture = await Easel().draw(plot, tmp_path / "desk.sqlite3")
    assert picture is not None
    shown = picture_of(picture)
    assert shown is not None
    assert (shown.media_type, shown.width) == ("image/png", 1200)
    assert 600 <= shown.height <= 2500
    assert {path.name for path in tmp_path.iterdir()} <= {"desk.sqlite3.fonts"}


def test_many_parts_and_many_days_are_drawn_together() -> None:
    report = a_report([7], tuple(f"member {number}" for number in range(30)))
    members = plot_of(report, By.MEMBER, str, "")
    assert (len(members.labels), members.labels[-1], members.values[-1]) == (11, "20 others", 140)
    months = plot_of(report, By.DAY, str, "")
    assert months.labels[:2] == ["1.26", "2.26"]
    assert sum(months.values) == 7 * 365


@pytest.mark.parametrize("most", [0, 1, 4, 5, 9, 99, 12_345, 10**9])
def test_a_scale_has_a_few_round_values(most: int) -> None:
    values = scale(most)
    assert values[0] == 0
    assert len(values) <= 6
    assert most - values[-1] < (values[1] if len(values) > 1 else 1)


def _arguments(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


@pytest.mark.timeout(120)
async def test_a_crowd_gets_no_pictures_and_nobody_who_leaves_leaves_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawer, real = tmp_path / "drawer.py", easel.DRAWER
    drawer.write_text(HANGS)
    monkeypatch.setattr(easel, "DRAWER", drawer)
    shared, plot = Easel(), Plot("names", "", "", [], [], [], [])
    waiting = [asyncio.create_task(shared.draw(plot, tmp_path / "desk.sqlite3")) for _ in range(4)]
    await asyncio.sleep(0)
    assert await shared.draw(plot, tmp_path / "desk.sqlite3") is None
    async with asyncio.timeout(50):
        while not (tmp_path / "drawer.py.ran").exists():
            await asyncio.sleep(0.02)
    for task in waiting:
        task.cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert not any(str(drawer).encode() in arguments for arguments in map(_arguments, Path("/proc").glob("[0-9]*")))
    monkeypatch.setattr(easel, "DRAWER", real)
    assert await shared.draw(plot_of(a_report([5]), By.DAY, str, ""), tmp_path / "desk.sqlite3") is not None
