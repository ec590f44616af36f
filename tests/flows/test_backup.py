"""A desk that comes back from a backup: no order before an admin says so, no code lost, none in the file."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli
from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Contract
from tests.scene import Scene, open_scene

CODE = "48291375"


async def back_up(scene: Scene, target: Path) -> None:
    from storage import backup

    await asyncio.to_thread(backup.back_up, scene.settings.storage.path, target, scene.settings.telegram.bot_id)


def put_back(scene: Scene, source: Path) -> None:
    from storage import backup

    backup.restore(source, scene.settings.storage.path, scene.settings.telegram.bot_id, datetime.now(UTC))


@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_a_restored_desk_takes_no_order_until_told_and_loses_no_code(tmp_path: Path, contract: Contract) -> None:
    backup = tmp_path / "backup.sqlite3"
    async with open_scene(tmp_path, contract=contract) as scene:
        before = await scene.order("whatsapp indonesia")
        await back_up(scene, backup)
        after = await scene.order("telegram vietnam")
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    put_back(scene, backup)
    async with open_scene(
        tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, contract=contract
    ) as restored:
        await restored.hears("These books were restored from a backup", ADA, anew=False)
        refusal = await restored.ask(OMAR, "/order whatsapp vietnam", "paused")
        assert "restored from a backup" in refusal.text
        sms.arrive(before.id, CODE)
        await restored.hears(CODE, OMAR, anew=False)
        if contract == "official":
            told = await restored.ask(ADA, "/status", "not ordered here")
            assert str(after.number) in told.text
        await restored.ask(ADA, "/resume", "open again")
        await restored.order("google philippines")


async def test_no_code_is_in_a_backup_and_one_that_was_not_told_yet_is_read_again(tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite3"
    async with open_scene(tmp_path) as scene:
        order = await scene.order("whatsapp indonesia")
        scene.sms.arrive(order.id, CODE)
        await scene.hears(CODE, OMAR, anew=False)
        await back_up(scene, backup)
    assert CODE.encode() not in backup.read_bytes()
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM sms WHERE code IS NOT NULL OR text IS NOT NULL").fetchone() == (
            0,
        )
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (1,)


def test_the_shell_makes_and_restores_a_backup(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    database = tmp_path / "desk.db"

    def configure(token: str) -> None:
        config.write_text(
            f'[telegram]\ntoken = "{token}"\n[smscode]\ntoken = "x"\n[access]\nowners = [1]\n'
            f'[storage]\npath = "{database}"\n',
            encoding="utf-8",
        )

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(cli.app, [*arguments, "--config", str(config)])
        return result.exit_code, result.output

    async def make_books() -> None:
        from storage.database import Database

        await (await Database.open(database, "7100000001")).close()

    configure("7100000001:AAthis_is_a_token_of_the_right_shape_x")
    code, said = run("backup")
    assert code == 1
    assert "No backup was made" in said
    asyncio.run(make_books())
    code, said = run("backup")
    assert code == 0
    made = Path(said.strip())
    assert made.parent == tmp_path / "backups"
    code, said = run("restore", str(made))
    assert code == 0
    assert "is the backup now" in said
    assert "is kept as" in said
    configure("7100000002:AAthis_is_a_token_of_the_right_shape_x")
    before = database.read_bytes()
    code, said = run("restore", str(made))
    assert code == 1
    assert "another desk" in said
    assert database.read_bytes() == before
