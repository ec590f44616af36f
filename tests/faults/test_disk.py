"""A disk that takes nothing, or takes it wrongly: nothing is bought, the admins hear of it once, the desk heals."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR
from storage import ledger
from tests.faults.disk import FAILING, FULL, READ_ONLY, Disk
from tests.scene import open_scene


@pytest.mark.parametrize("refusal", [FULL, READ_ONLY, FAILING])
async def test_a_disk_that_takes_nothing_stops_orders_before_anything_is_sent(tmp_path: Path, refusal: int) -> None:
    with Disk() as disk:
        async with open_scene(tmp_path) as scene:
            database = scene.app.desk.database
            scene.say(OMAR, "/order whatsapp indonesia")
            await scene.hears("📱", OMAR)
            order = scene.remote_id
            disk.refusal = refusal
            scene.say(OMAR, "/order telegram indonesia")
            scene.sms.arrive(order, code="471113")
            warning = await scene.hears("cannot write to my database", ADA, anew=False)
            await scene.settle(1.0)
            assert len(scene.sms.books.orders) == 1
            assert len(scene.sms.books.charges) == 1
            assert [text for text in scene.said_by_bot(ADA) if "cannot write" in text] == [warning.text]

            disk.refusal = 0
            await scene.hears("471113", OMAR, patience=20)
            await scene.hears("telegram", OMAR, patience=20)
            assert len(scene.sms.books.orders) == 2
            assert await database.read(ledger.discrepancies) == []


async def test_a_file_that_gets_damaged_is_written_no_more_and_nothing_is_bought(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        path = scene.app.desk.database.path
        content = bytearray(path.read_bytes())
        for place in range(4096, len(content), 512):
            content[place : place + 256] = b"\xa5" * 256
        path.write_bytes(content)
        damaged = path.read_bytes()
        scene.say(OMAR, "/order whatsapp indonesia")
        told = await scene.hears("My database is damaged", ADA, anew=False, patience=20)
        assert "otpdesk restore" in told.text
        await scene.settle(1.0)
        assert [text for text in scene.said_by_bot(ADA) if "damaged" in text] == [told.text]
        assert scene.sms.books.orders == {}
        assert path.read_bytes() == damaged


async def test_a_file_that_another_program_holds_stops_orders_until_it_lets_go(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        with closing(sqlite3.connect(scene.app.desk.database.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            scene.say(OMAR, "/order whatsapp indonesia")
            await scene.settle(1.0)
            assert scene.sms.books.orders == {}
        await scene.hears("📱", OMAR, patience=30)
        await scene.reconcile()
