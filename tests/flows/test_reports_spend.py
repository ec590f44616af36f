"""`/spend` and `/export`: the picture, the numbers beneath it, and files that agree with the books."""

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.chat.commands import reporting
from bot.sandbox.bot_api import ADA, OMAR, Fault, Message
from bot.sandbox.telegram_pictures import picture_of
from bot.services import easel, exports
from storage import ledger
from tests.scene import Scene

SLOW = 100.0
"""Real seconds that a picture may take on a busy machine."""


def file_of(scene: Scene, message: Message) -> tuple[str, bytes]:
    """The name and the content of the file that a message carries."""
    body: dict[str, Any] = message.body
    sent = body.get("document") or body["photo"][0]
    return scene.telegram.files[sent["file_id"]]


def opened(content: bytes) -> list[dict[str, str]]:
    """A CSV file as a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


async def _three_orders(scene: Scene) -> None:
    """One with a code, one canceled, one that waits."""
    first = await scene.order("whatsapp indonesia note==1+1")
    scene.sms.arrive(first.id, "482913")
    await scene.hears("482913", OMAR)
    await scene.order("telegram vietnam")
    await scene.ask(OMAR, "/cancel 2", "#2 is canceled")
    await scene.order("whatsapp vietnam", ADA)


@pytest.mark.timeout(240)
async def test_the_picture_its_numbers_and_the_files_agree_with_the_books(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(easel, "PATIENCE", SLOW)
    await _three_orders(scene)
    spent = scene.sms.books.spent
    scene.say(ADA, "/spend")
    shown = await scene.hears(f"{spent:,}".replace(",", "."), ADA, patience=SLOW)
    name, picture = file_of(scene, shown)
    assert picture_of(picture) is not None
    assert name == "picture.png"
    assert "3 orders, 1 still waiting, 50% of the others with a code" in shown.text
    assert "By member\nAda" in shown.text or "By member\nOmar" in shown.text
    assert "matplotlib" not in sys.modules
    scene.press(ADA, shown, "By platform")
    by_platform = await scene.hears("9 – 14 Mar 2026", ADA, patience=SLOW)
    assert file_of(scene, by_platform)[1] != picture
    scene.press(ADA, shown, "As a file")
    sent = await scene.hears(lambda message: "document" in message.body, ADA)
    name, content = file_of(scene, sent)
    assert name == "spend-2026-03-09..2026-03-14.csv"
    rows = opened(content)
    for by in ("member", "platform", "country", "day", "total"):
        assert sum(int(row["spent"]) for row in rows if row["by"] == by) == spent

    await scene.ask(ADA, "/export today", "3 orders, Sat 14 Mar 2026")
    exported = await scene.hears("3 orders", ADA)
    name, content = file_of(scene, exported)
    assert name == "orders-2026-03-14.csv"
    rows = opened(content)
    assert [row["state"] for row in rows] == ["received", "canceled", "waiting"]
    assert [row["member"] for row in rows] == ["Omar", "Omar", "Ada"]
    assert rows[0]["note"] == "'=1+1"
    assert rows[0]["number"].lstrip("'+").isdigit()
    assert "482913" not in content.decode()
    usage = await scene.app.desk.database.read(lambda connection: ledger.usage(connection, 0, "2026-03-14"))
    assert (sum(int(row["spent"]) for row in rows), sum(int(row["held"]) for row in rows)) == (usage.spent, usage.held)
    secrets = ("request_body", "sandbox", scene.telegram.token)
    assert not any(secret in content.decode() for secret in secrets)
    (line,) = await scene.audited("report.export")
    assert (line.actor_id, dict(line.detail)) == (ADA, {"period": "2026-03-14", "orders": 3})


HANGS = "import time\ntime.sleep(60)\n"
FAILS = "raise SystemExit(3)\n"
LIES = "print('no picture')\n"
DRAWS = """
import sys
size = (640).to_bytes(4, "big") + (480).to_bytes(4, "big")
sys.stdout.buffer.write(b"\\x89PNG\\r\\n\\x1a\\n\\x00\\x00\\x00\\rIHDR" + size)
"""


async def test_without_a_picture_the_numbers_still_come(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.order()
    monkeypatch.setattr(easel, "PATIENCE", 0.5)
    for number, script in enumerate((HANGS, FAILS, LIES)):
        drawer = tmp_path / f"drawer{number}.py"
        drawer.write_text(script)
        monkeypatch.setattr(easel, "DRAWER", drawer)
        told = await scene.ask(ADA, "/spend today", "The picture could not be drawn; the numbers are complete.")
        assert "1 order" in told.text
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    await scene.ask(ADA, "/spend today", "The picture could not be drawn")


async def test_wrong_periods_lead_to_right_ones_and_only_admins_see_money_of_others(scene: Scene) -> None:
    nothing = await scene.ask(ADA, "/spend yesterday", "Nothing was ordered on Fri 13 Mar 2026.")
    assert "photo" not in nothing.body
    await scene.ask(ADA, "/export yesterday", "No orders on Fri 13 Mar 2026.")
    corrected = await scene.ask(ADA, "/spend yesterdy member", "Did you mean yesterday, saturday?")
    scene.press(ADA, corrected, "/spend yesterday member")
    await scene.hears("Nothing was ordered", ADA)
    wrong = {
        "/spend 2026-13": "“2026-13” is not in the calendar",
        "/spend <b>": "I know no day or period “<b>”. Did you mean today, yesterday, week, month?",
        "/export 2020-01..2026-01": "2223 days are too many at once; name at most 366",
        "/export month month": "I know no day or period",
    }
    for typed, answer in wrong.items():
        await scene.ask(ADA, typed, answer)
    for typed in ("/spend", "/export"):
        await scene.ask(OMAR, typed, "needs the role admin")
    assert await scene.audited("report.export") == []


async def test_a_file_that_telegram_does_not_take_is_said_so(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = tmp_path / "drawer.py"
    quick.write_text(DRAWS)
    monkeypatch.setattr(easel, "DRAWER", quick)
    await scene.order()
    assert "photo" in (await scene.ask(ADA, "/spend today", "1 order")).body
    scene.telegram.fault(Fault(kind="forbidden", method="sendDocument"), Fault(kind="error", method="sendPhoto"))
    await scene.ask(ADA, "/export today", "Telegram did not take orders-2026-03-14.csv")
    told = await scene.ask(ADA, "/spend today", "1 order")
    assert "photo" not in told.body


async def test_a_long_export_shows_how_far_it_is_and_then_takes_that_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    monkeypatch.setattr(reporting, "_TOLD_EVERY", 1)
    await _three_orders(scene)
    await scene.ask(ADA, "/export week", "3 orders, 9 – 14 Mar 2026")
    (progress,) = [one for one in scene.telegram.chats[ADA].messages.values() if "Collecting orders" in one.text]
    assert progress.text == "Collecting orders: 3 of 3"
    assert progress.deleted_at is not None
    monkeypatch.setattr(reporting, "_MOST_EXPORTED", 2)
    told = await scene.ask(ADA, "/export week", "3 orders are too many: a file here holds 2.")
    assert "otpdesk export" in told.text
