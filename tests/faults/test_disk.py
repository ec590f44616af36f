"""A full disk: nothing is bought, the admins hear of it once, and the desk heals by itself."""

from pathlib import Path

from bot.sandbox.bot_api import ADA, OMAR
from storage import ledger
from tests.faults.disk import Disk
from tests.scene import open_scene


async def test_a_full_disk_stops_orders_before_anything_is_sent_and_heals_by_itself(tmp_path: Path) -> None:
    with Disk() as disk:
        async with open_scene(tmp_path) as scene:
            database = scene.app.desk.database
            scene.say(OMAR, "/order whatsapp indonesia")
            await scene.hears("📱", OMAR)
            order = scene.remote_id
            disk.full = True
            scene.say(OMAR, "/order telegram indonesia")
            scene.sms.arrive(order, code="471113")
            warning = await scene.hears("cannot write to my database", ADA, anew=False)
            await scene.settle(1.0)
            assert len(scene.sms.books.orders) == 1
            assert len(scene.sms.books.charges) == 1
            assert [text for text in scene.said_by_bot(ADA) if "cannot write" in text] == [warning.text]

            disk.full = False
            await scene.hears("471113", OMAR, patience=20)
            await scene.hears("telegram", OMAR, patience=20)
            assert len(scene.sms.books.orders) == 2
            assert await database.read(ledger.discrepancies) == []
