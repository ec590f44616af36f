"""What the pages show to be typed is typed here: the demo and the sandbox open, and the way to production is walked."""

import re
import shlex
import signal
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, TelegramWorld, bot_app, demo_cast
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import DEFAULT_BEARER, SmsWorld, sms_app
from tests.house.source import ROOT, tracked
from tests.house.test_docs import RUNNER, shell_lines
from tests.sandbox.commands import otpdesk, running

SERVERS = sorted(
    {
        line.removeprefix(f"{RUNNER}otpdesk ")
        for page in tracked()
        if page.suffix == ".md"
        for line in shell_lines(page)
        if re.match(rf"{re.escape(RUNNER)}otpdesk (demo|sandbox)", line)
    }
)
FREE = {"demo": ("--port", "0"), "sandbox": ("--telegram-port", "0", "--sms-port", "0")}


async def test_make_demo_opens_the_desk(tmp_path: Path) -> None:
    # What is installed is what is tested; make shall not install it anew.
    words = ("make", "--old-file=install", "demo", "PORT=0")
    async with running(tmp_path, *words, working_folder=ROOT) as command:
        await command.prints(r"The desk is open: http://127\.0\.0\.1:\d+")
        await command.stopped_by(signal.SIGINT)


def test_the_pages_show_both_servers() -> None:
    assert {line.split()[0] for line in SERVERS} == set(FREE)


@pytest.mark.parametrize("line", [line for line in SERVERS if "--tour" not in line])
async def test_each_server_that_is_shown_opens(tmp_path: Path, line: str) -> None:
    words = shlex.split(line)
    async with otpdesk(tmp_path, *words, *FREE[words[0]]) as command:
        await command.prints("Ctrl-C ends it")
        assert await command.stopped_by(signal.SIGINT) == 0


async def test_production_is_reached_by_the_lines_of_the_readme(tmp_path: Path) -> None:
    """Copy, close, fill in, check, run: against the sandbox in the place of Telegram and SMSCode."""
    telegram, sms = demo_cast(TelegramWorld()), SmsWorld()
    async with LoopbackServer(bot_app(telegram)) as chat, LoopbackServer(sms_app(sms, "official")) as api:
        (tmp_path / "config.example.toml").write_bytes((ROOT / "config.example.toml").read_bytes())
        for line in shell_lines(Path("README.md")):
            words = shlex.split(line)
            if words[0] in {"cp", "chmod"}:
                async with running(tmp_path, *words, working_folder=tmp_path) as command:
                    assert await command.ends() == 0
            elif line.startswith(f"{RUNNER}otpdesk"):
                config = tmp_path / "config.toml"
                config.write_text(_filled_in(config.read_text("utf-8"), telegram.token, chat.url, api.url), "utf-8")
                await _runs(telegram, tmp_path, words[1:])
    assert sms.books.orders == {}


def _filled_in(text: str, token: str, chat: str, api: str) -> str:
    """The configuration with both tokens and the owner, and with the servers that stand in here."""
    text = text.replace('"https://api.telegram.org"', f'"{chat}"').replace('"https://api.smscode.gg"', f'"{api}"')
    text = text.replace('\ntoken = ""', f'\ntoken = "{token}"', 1).replace(
        '\ntoken = ""', f'\ntoken = "{DEFAULT_BEARER}"'
    )
    return text.replace("\nowners = []", f"\nowners = [{ADA}]")


async def _runs(telegram: TelegramWorld, folder: Path, words: list[str]) -> None:
    async with otpdesk(folder, *words, working_folder=folder) as command:
        if words[0] == "check":
            assert await command.ends() == 0, command.text
            return
        telegram.say(ADA, "/start")
        await telegram.wait_for("you are an admin", ADA, 20)
        assert await command.stopped_by(signal.SIGTERM) == 0
