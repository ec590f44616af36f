"""Backups that nobody has to think of: by the clock and by /backup, checked, and not too many of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.clock import moment
from bot.sandbox.bot_api import ADA, OMAR
from storage.backup import file_name, newest, restore, rotate
from tests.scene import open_scene

DAY = 86_400


async def test_a_backup_is_made_when_one_is_due_and_by_command(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    async with open_scene(tmp_path, backup={"every": DAY, "keep": 2, "folder": folder}) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, "482913")
        await scene.hears("482913", OMAR)
        await scene.until(lambda: bool(list(folder.glob("*.sqlite3"))), patience=12)
        made = newest(folder, moment(scene.clock))
        assert made is not None
        assert abs(scene.clock.now() - made.timestamp()) < 600
        await scene.ask(ADA, "/backup", "A backup is made and checked")
        scene.clock.jump(2)
        answer = await scene.ask(ADA, "/backup", "A backup is made and checked")
        assert "2 are kept" in answer.text
        assert len(list(folder.glob("*.sqlite3"))) == 2
        assert [line.actor_id for line in await scene.audited("desk.backup")] == [ADA, ADA, 0]
        await scene.ask(OMAR, "/backup", "needs the role admin")
        copies = sorted(folder.glob("*.sqlite3"))
        assert all(copy.stat().st_mode & 0o777 == 0o600 for copy in copies)
        assert all(b"482913" not in copy.read_bytes() for copy in copies)
        identity = scene.settings.telegram.bot_id
    restore(copies[-1], tmp_path / "again" / "desk.sqlite3", identity, datetime.now(UTC))


async def test_a_backup_that_cannot_be_made_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.workers.archive._TRY_AGAIN", 15.0)
    monkeypatch.setattr("bot.workers.archive._AFTER_START", 1.0)
    folder = tmp_path / "a file, no folder"
    folder.touch()
    async with open_scene(tmp_path, backup={"every": DAY, "folder": folder}) as scene:
        await scene.hears("No backup could be made", ADA, anew=False, patience=12)
        await scene.ask(ADA, "/backup", "No backup was made")
        folder.unlink()
        await scene.until(lambda: bool(list(folder.glob("*.sqlite3"))), patience=40)
        assert sum("No backup could be made" in text for text in scene.said_by_bot(ADA)) == 1


@pytest.mark.parametrize(("present", "keep", "left"), [(5, 2, 2), (2, 2, 2), (1, 3, 1), (0, 1, 0)])
def test_the_oldest_go_first_and_nothing_else_goes(tmp_path: Path, present: int, keep: int, left: int) -> None:
    start = datetime(2026, 12, 30, 23, 59, 50, tzinfo=UTC)
    names = [file_name(start + timedelta(days=number, seconds=number * 7)) for number in range(present)]
    others = ["otpdesk-mine.sqlite3", "notes.txt", "otpdesk-20260101-000000.sqlite3.gz", "desk.sqlite3"]
    for name in [*names, *others]:
        (tmp_path / name).touch()
    now = start + timedelta(days=30)
    assert rotate(tmp_path, keep, now) == left
    assert {path.name for path in tmp_path.iterdir()} == {*names[present - left :], *others}
    assert newest(tmp_path / "nowhere", now) is None


def test_what_a_wrong_clock_has_dated_goes_before_the_oldest(tmp_path: Path) -> None:
    now = datetime(2026, 12, 30, tzinfo=UTC)
    past = [file_name(now - timedelta(days=days)) for days in (1, 2)]
    for name in [*past, file_name(now + timedelta(days=365))]:
        (tmp_path / name).touch()
    assert newest(tmp_path, now) == now - timedelta(days=1)
    assert rotate(tmp_path, 2, now) == 2
    assert {path.name for path in tmp_path.iterdir()} == {*past}
