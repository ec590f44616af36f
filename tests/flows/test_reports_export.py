"""`otpdesk export`: the same file from the shell, beside a running desk."""

import asyncio
import csv
import io
import stat
from pathlib import Path

from typer.testing import CliRunner

from bot import cli
from bot.sandbox.bot_api import OMAR
from tests.scene import Scene


async def test_the_shell_exports_beside_a_running_desk(scene: Scene, tmp_path: Path) -> None:
    order = await scene.order("whatsapp indonesia note=@SUM(A1)")
    scene.sms.arrive(order.id, "482913")
    await scene.hears("482913", OMAR)
    config, target = tmp_path / "config.toml", tmp_path / "orders.csv"
    config.write_text(
        f'[telegram]\ntoken = "{scene.telegram.token}"\n[smscode]\ntoken = "sandbox"\n[access]\nowners = [1]\n'
        f'[storage]\npath = "{scene.settings.storage.path}"\n',
        encoding="utf-8",
    )

    async def run(*arguments: str) -> tuple[int, str, str]:
        command = ["export", "--config", str(config), *arguments]
        result = await asyncio.to_thread(lambda: CliRunner().invoke(cli.app, command))
        return result.exit_code, result.stdout, result.stderr

    code, written, said = await run()
    assert code == 0
    assert "1 orders" in said
    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    assert (row["member"], row["note"], row["spent"]) == ("Omar", "'@SUM(A1)", str(order.price))
    assert "482913" not in written
    code, _, said = await run("--period", "2026-03", "--to", str(target))
    assert code == 0
    assert target.read_text(encoding="utf-8").splitlines() == written.splitlines()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    refused = {
        ("--to", str(target)): "File exists",
        ("--period", "yesterdy"): "try yesterday",
        ("--period", "2026-13"): "not in the calendar",
        ("--period", "2001-01"): "0 orders",
    }
    for arguments, reason in refused.items():
        code, _, said = await run(*arguments)
        assert reason in said
        assert code == (0 if "orders" in reason else 1)
    scene.settings.storage.path.with_name("config.toml").write_text(
        config.read_text(encoding="utf-8").replace("desk.sqlite3", "none.sqlite3"), encoding="utf-8"
    )
    code, _, said = await run()
    assert code == 1
    assert "Nothing was exported" in said
    await scene.ask(OMAR, "/cancel", "already has its code")
