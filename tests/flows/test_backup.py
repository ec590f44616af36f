"""A desk that comes back from a backup: no order before an admin says so, no code lost, none in the file."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli
from bot.clock import moment
from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Contract, Fault, FaultKind
from storage import backup
from storage.database import Database
from tests.scene import Scene, open_hurried_scene, open_scene

CODE = "48291375"
BOB = 2003


async def back_up(scene: Scene, target: Path) -> None:
    await asyncio.to_thread(
        backup.back_up, scene.settings.storage.path, target, scene.settings.telegram.bot_id, moment(scene.clock)
    )


def put_back(scene: Scene, source: Path) -> None:
    backup.restore(source, scene.settings.storage.path, scene.settings.telegram.bot_id, moment(scene.clock))


@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_a_restored_desk_takes_no_order_until_told_and_loses_no_code(tmp_path: Path, contract: Contract) -> None:
    copy = tmp_path / "backup.sqlite3"
    async with open_scene(tmp_path, contract=contract) as scene:
        before = await scene.order("whatsapp indonesia")
        await back_up(scene, copy)
        after = await scene.order("telegram vietnam")
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    put_back(scene, copy)
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


async def test_a_request_that_was_open_at_the_backup_buys_nothing_after_it(tmp_path: Path) -> None:
    copy, limits = tmp_path / "backup.sqlite3", {"approve_above": 0}
    async with open_scene(tmp_path, limits=limits) as scene:
        await scene.hire(BOB, "Bob", Role.APPROVER)
        scene.say(OMAR, "/order whatsapp indonesia")
        request = await scene.hears("Request 1", BOB, anew=False)
        yes = request.button("Approve")["callback_data"]
        await back_up(scene, copy)
        await scene.ask(ADA, "/approve 1", "Approved. #1")
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    put_back(scene, copy)
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, limits=limits) as restored:
        await restored.hears("These books were restored from a backup", ADA, anew=False)
        await restored.ask(ADA, "/resume", "open again")
        # The answer took the button away, but a client that has not heard of it yet still shows it.
        restored.telegram.press(BOB, BOB, request.message_id, yes, forged=True)
        await restored.hears("Request 1 has run out already", BOB)
        assert len(sms.books.charges) == 1


async def test_no_code_is_in_a_backup_and_one_that_was_not_told_yet_is_read_again(tmp_path: Path) -> None:
    copy = tmp_path / "backup.sqlite3"
    async with open_scene(tmp_path) as scene:
        order = await scene.order("whatsapp indonesia")
        scene.sms.arrive(order.id, CODE)
        await scene.hears(CODE, OMAR, anew=False)
        await back_up(scene, copy)
    assert CODE.encode() not in copy.read_bytes()
    with closing(sqlite3.connect(copy)) as connection:
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


async def test_a_code_that_may_have_been_told_before_says_so_and_a_later_one_does_not(tmp_path: Path) -> None:
    copy = tmp_path / "backup.sqlite3"
    async with open_scene(tmp_path) as scene:
        order = await scene.order("whatsapp indonesia")
        await back_up(scene, copy)
        scene.sms.arrive(order.id, CODE)
        await scene.hears(CODE, OMAR, anew=False)
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    put_back(scene, copy)
    scene.marks.clear()
    mark = max(telegram.chats[OMAR].messages)
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False) as restored:
        restored.marks[OMAR] = mark
        assert "Sent again" in (await restored.hears(CODE, OMAR)).text
        sms.arrive(order.id, "555123")
        assert "Sent again" not in (await restored.hears("555123", OMAR)).text


async def test_an_order_on_its_way_at_the_backup_is_an_admins_to_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "backup.sqlite3"
    async with open_hurried_scene(tmp_path, monkeypatch) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route="POST /v1/orders"))
        # The balance that would tell is not to be had before the backup is made.
        scene.sms.faults.add(Fault(kind=FaultKind.UNAVAILABLE, route="GET /v1/balance", after_calls=1, times=1000))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.hears("do not order again", OMAR)
        await back_up(scene, copy)
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    sms.faults.clear()
    put_back(scene, copy)
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False) as restored:
        told = await restored.hears("Order #1 was on its way when the backup was made", ADA, anew=False)
        assert "/resolve 1 charged" in told.text
        await restored.ask(ADA, "/resolve 1 charged", "#1")
        await restored.reconcile()
