"""`otpdesk check` and `otpdesk healthy`: what they find, what they say to do, and how they exit."""

import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot import cli
from bot.checkup import Line, Mark, check
from bot.config import Settings, load
from bot.sandbox.bot_api import DEFAULT_TOKEN, TelegramWorld, bot_app
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import DEFAULT_BEARER, SmsWorld, sms_app
from storage.backup import file_name
from storage.database import Database, heartbeat_of, is_alive

DEAD = "http://127.0.0.1:9"


class _Servers:
    """Both simulators and how to reach them."""

    def __init__(self, telegram_url: str, sms_url: str, sms: SmsWorld, telegram: TelegramWorld | None = None) -> None:
        self.telegram = telegram or TelegramWorld()
        self.telegram_url = telegram_url
        self.sms_url = sms_url
        self.sms = sms

    def settings(
        self, folder: Path, *, telegram_token: str = DEFAULT_TOKEN, sms_token: str = DEFAULT_BEARER
    ) -> Settings:
        return Settings.model_validate(
            {
                "telegram": {"token": telegram_token, "base_url": self.telegram_url},
                "smscode": {"token": sms_token, "base_url": self.sms_url},
                "access": {"owners": [1001]},
                "storage": {"path": folder / "desk.sqlite3"},
            }
        )


@pytest.fixture
async def servers() -> AsyncIterator[_Servers]:
    sms, telegram = SmsWorld(), TelegramWorld()
    async with LoopbackServer(bot_app(telegram)) as chat, LoopbackServer(sms_app(sms)) as api:
        yield _Servers(chat.url, api.url, sms, telegram)


def _by_name(lines: list[Line]) -> dict[str, Line]:
    return {line.name: line for line in lines}


async def test_all_is_well_before_the_first_start_and_nothing_is_made(servers: _Servers, tmp_path: Path) -> None:
    lines = _by_name(await check(servers.settings(tmp_path), None))
    assert {name: line.mark for name, line in lines.items()} == dict.fromkeys(
        (
            *("configuration", "permissions", "disk", "sqlite", "database", "backups"),
            *("telegram", "webhook", "smscode", "clock"),
        ),
        Mark.OK,
    )
    assert lines["telegram"].found == "@otpdesk_bot"
    assert lines["smscode"].found == "contract guide (found out), balance Rp 150.000"
    assert list(tmp_path.iterdir()) == []
    assert servers.sms.books.charges == []


async def test_wrong_tokens_are_named_with_their_remedy_and_never_shown(servers: _Servers, tmp_path: Path) -> None:
    telegram_token = "7100000009:AAthis_is_not_the_token_of_any_bot"
    settings = servers.settings(tmp_path, telegram_token=telegram_token, sms_token="wrong-token")
    lines = _by_name(await check(settings, None))
    assert (lines["telegram"].mark, lines["smscode"].mark) == (Mark.WRONG, Mark.WRONG)
    assert "BotFather" in lines["telegram"].remedy
    assert "account settings" in lines["smscode"].remedy
    said = " ".join(f"{line.found} {line.remedy}" for line in lines.values())
    assert telegram_token not in said
    assert "wrong-token" not in said


async def test_an_empty_account_is_a_warning(servers: _Servers, tmp_path: Path) -> None:
    servers.sms.set_balance(0)
    line = _by_name(await check(servers.settings(tmp_path), None))["smscode"]
    assert line.mark is Mark.WARNING
    assert "top the account up" in line.remedy


async def test_servers_that_cannot_be_reached_are_wrong_and_the_clock_unknown(tmp_path: Path) -> None:
    lines = _by_name(await check(_Servers(DEAD, DEAD, SmsWorld()).settings(tmp_path), None))
    assert {name: lines[name].mark for name in ("telegram", "smscode", "clock")} == {
        "telegram": Mark.WRONG,
        "smscode": Mark.WRONG,
        "clock": Mark.WARNING,
    }


async def test_a_database_is_looked_at_and_left_as_it_is(servers: _Servers, tmp_path: Path) -> None:
    settings = servers.settings(tmp_path)
    database = await Database.open(settings.storage.path)
    await database.close()
    before = settings.storage.path.read_bytes()
    line = _by_name(await check(settings, None))["database"]
    assert (line.mark, line.found) == (Mark.OK, f"{settings.storage.path}, the books agree")
    assert settings.storage.path.read_bytes() == before

    tampered = sqlite3.connect(settings.storage.path)
    with tampered:
        tampered.execute("INSERT INTO budget (owner, period, cap, settled) VALUES (5, '2026-03-14', 9, 7)")
    tampered.close()
    line = _by_name(await check(settings, None))["database"]
    assert line.mark is Mark.WRONG
    assert "member 5, 2026-03-14" in line.found

    settings.storage.path.write_bytes(b"not a database at all, but long enough to be looked at")
    line = _by_name(await check(settings, None))["database"]
    assert line.mark is Mark.WRONG
    assert "storage.path" in line.remedy


async def test_a_configuration_that_others_can_read_is_a_warning(servers: _Servers, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.touch(mode=0o644)
    settings = servers.settings(tmp_path)
    assert _by_name(await check(settings, path))["configuration"].mark is Mark.OK, "there is nothing secret in it"
    path.write_text('[smscode]\ntoken = "t"\n', encoding="utf-8")
    assert _by_name(await check(settings, path))["configuration"].mark is Mark.WARNING
    path.chmod(0o600)
    assert _by_name(await check(settings, path))["configuration"].mark is Mark.OK


async def test_a_secret_or_a_backup_that_others_can_read_is_a_warning(servers: _Servers, tmp_path: Path) -> None:
    settings = servers.settings(tmp_path)
    token = tmp_path / "token"
    token.write_text(DEFAULT_TOKEN, encoding="utf-8")
    token.chmod(0o640)
    telegram = settings.telegram.model_copy(update={"token_file": token})
    settings = settings.model_copy(update={"telegram": telegram})
    line = _by_name(await check(settings, None))["permissions"]
    assert (line.mark, line.remedy) == (Mark.WARNING, f"chmod 600 {token}")
    token.chmod(0o600)
    assert _by_name(await check(settings, None))["permissions"].mark is Mark.OK


async def test_a_backup_that_is_missing_or_old_is_a_warning(servers: _Servers, tmp_path: Path) -> None:
    settings = servers.settings(tmp_path)
    await (await Database.open(settings.storage.path)).close()
    assert "otpdesk backup" in _by_name(await check(settings, None))["backups"].remedy
    copy = tmp_path / "backups" / file_name(datetime.now(UTC))
    copy.parent.mkdir()
    copy.touch(0o600)
    assert _by_name(await check(settings, None))["backups"].mark is Mark.OK
    copy.rename(copy.with_name(file_name(datetime.now(UTC) - timedelta(days=3))))
    assert _by_name(await check(settings, None))["backups"].mark is Mark.WARNING


async def test_a_webhook_that_does_not_fit_the_mode_is_named(servers: _Servers, tmp_path: Path) -> None:
    settings = servers.settings(tmp_path)
    servers.telegram.webhook = {"url": "https://elsewhere.example.org/hook"}
    line = _by_name(await check(settings, None))["webhook"]
    assert (line.mark, "elsewhere" in line.found) == (Mark.WARNING, True)
    ours = "https://desk.example.org"
    settings = settings.model_copy(
        update={
            "telegram": settings.telegram.model_copy(update={"mode": "webhook"}),
            "web": settings.web.model_copy(update={"listen": "127.0.0.1:8080", "public_url": ours}),
        }
    )
    servers.telegram.webhook = {"url": f"{ours}/telegram/webhook"}
    assert _by_name(await check(settings, None))["webhook"].mark is Mark.OK
    servers.telegram.webhook |= {"last_error_date": 1, "last_error_message": "Connection refused"}
    line = _by_name(await check(settings, None))["webhook"]
    assert (line.mark, "Connection refused" in line.found) == (Mark.WARNING, True)


def test_init_asks_again_until_an_answer_will_do_and_writes_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    answers = ["not-a-token", DEFAULT_TOKEN, "", "live token", "live-token", "@ada", "1001, 1002"]
    answers += ["-5", "15000", "", "", "Mars/Olympus", "Europe/Berlin", ""]
    result = CliRunner().invoke(cli.app, ["init", "--config", str(path)], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert path.stat().st_mode & 0o777 == 0o600
    settings = load(path)
    assert settings.telegram.secret == DEFAULT_TOKEN
    assert settings.smscode.secret == "live-token"
    assert settings.access.owners == (1001, 1002)
    assert (settings.limits.per_order, settings.limits.daily, settings.limits.timezone) == (
        15_000,
        100_000,
        "Europe/Berlin",
    )
    for problem in ("expected a bot token", "without spaces", "numeric Telegram ids", "time zone"):
        assert problem in result.output
    assert "live-token" not in result.output
    assert DEFAULT_TOKEN not in result.output
    before = path.read_bytes()
    again = CliRunner().invoke(cli.app, ["init", "--config", str(path)])
    assert again.exit_code == 2
    assert path.read_bytes() == before


def _written(folder: Path) -> Path:
    path = folder / "config.toml"
    path.write_text(
        f'[telegram]\ntoken = "{DEFAULT_TOKEN}"\nbase_url = "{DEAD}"\n[smscode]\ntoken = "t"\nbase_url = "{DEAD}"\n'
        f'[access]\nowners = [1]\n[storage]\npath = "{folder}/desk.sqlite3"\n',
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("as_json", [False, True])
def test_check_exits_with_one_when_something_is_wrong(tmp_path: Path, as_json: bool) -> None:
    arguments = ["check", "--config", str(_written(tmp_path)), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    if as_json:
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert {line["name"]: line["mark"] for line in lines}["telegram"] == "wrong"
    else:
        assert "✗ telegram" in result.stdout
        assert "→  check telegram.base_url and the network" in result.stdout


def test_a_desk_is_healthy_while_its_sign_of_life_is_fresh(tmp_path: Path) -> None:
    config = _written(tmp_path)
    runner = CliRunner()
    assert runner.invoke(cli.app, ["healthy", "--config", str(config)]).exit_code == 1
    heartbeat = heartbeat_of(tmp_path / "desk.sqlite3")
    heartbeat.touch()
    assert runner.invoke(cli.app, ["healthy", "--config", str(config)]).exit_code == 0
    old = time.time() - 61
    os.utime(heartbeat, (old, old))
    assert not is_alive(tmp_path / "desk.sqlite3")
    assert runner.invoke(cli.app, ["healthy", "--config", str(config)]).exit_code == 1


def test_a_configuration_with_mistakes_names_each_and_exits_with_two(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[telegram]\ntoken = "x"\n[limits]\ndaly = 5\n', encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["run", "--config", str(path)])
    assert result.exit_code == 2
    for key in ("telegram", "limits.daly", "smscode", "access"):
        assert key in result.stderr
