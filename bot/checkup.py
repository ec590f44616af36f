"""`otpdesk check`: whether the desk could open, line by line, each with its remedy. Nothing is changed or bought."""

import asyncio
import os
import shutil
import sqlite3
import stat
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from telegram.error import InvalidToken, TelegramError

from bot.chat.connection import make_bot
from bot.chat.wording import format_amount
from bot.clock import SystemClock
from bot.config import Settings
from bot.domain.errors import SmsError, TokenRejected
from bot.sms.budget import RequestBudget
from bot.sms.client import make_client
from bot.sms.detect import make_port
from bot.sms.wire import Wire
from bot.web.app import UPDATES
from storage import ledger
from storage.backup import newest as newest_backup
from storage.database import DatabaseUnusable, journal_mode_for, look_at

_LEAST_FREE: Final = 100 * 1024 * 1024
_MOST_SKEW: Final = 30.0
_SECRETS: Final = (("telegram", "token"), ("smscode", "token"), ("smscode", "webhook_secret"))
_OLDEST_BACKUP_DAYS: Final = 2.0
_TELEGRAM: Final = "https://api.telegram.org"
_TELEGRAM_PORTS: Final = (443, 80, 88, 8443)
"""Where Telegram's own servers bring updates to (core.telegram.org/bots/webhooks)."""

_OTHERS_MAY_READ: Final = stat.S_IRGRP | stat.S_IROTH


class Mark(StrEnum):
    """How a line turned out; only `wrong` keeps the desk from opening."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at, and what to do if it is not well."""

    name: str
    mark: Mark
    found: str
    remedy: str = ""


async def check(config: Settings, config_path: Path | None) -> list[Line]:
    """Look at everything the desk needs."""
    path = config.storage.path
    lines = await asyncio.to_thread(
        lambda: [
            _secrets(config_path),
            _permissions(config),
            _disk(path),
            _sqlite(),
            _database(path, config.telegram.bot_id),
            _backups(config),
        ]
    )
    looks: tuple[Callable[[Settings], Awaitable[Line]], ...] = (_telegram, _webhook, _smscode, _clock)
    lines.extend(await asyncio.gather(*(look(config) for look in looks)))
    return lines


def _secrets(path: Path | None) -> Line:
    if path is None:
        return Line("configuration", Mark.OK, "from the environment")
    if path.stat().st_mode & _OTHERS_MAY_READ and _holds_a_secret(path):
        return Line("configuration", Mark.WARNING, f"{path} can be read by others", f"chmod 600 {path}")
    return Line("configuration", Mark.OK, f"{path}, nothing secret in it for others")


def _holds_a_secret(path: Path) -> bool:
    """Whether a token stands in the file itself, instead of in a file of its own or in the environment."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    return any(values.get(section, {}).get(key) for section, key in _SECRETS)


def _permissions(config: Settings) -> Line:
    """Whether anybody else on this machine can read a token or the books."""
    secrets = (config.telegram.token_file, config.smscode.token_file, config.smscode.webhook_secret_file)
    ours = [config.storage.path, *config.backup.folder_of(config.storage.path).glob("*.sqlite3")]
    files = [path for path in (*secrets, *ours) if path is not None and path.exists()]
    open_ones = [path for path in files if path.stat().st_mode & _OTHERS_MAY_READ]
    if open_ones:
        named = ", ".join(map(str, open_ones[:3]))
        return Line("permissions", Mark.WARNING, f"others can read {named}", f"chmod 600 {open_ones[0]}")
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    return Line("permissions", Mark.OK, f"{count}, all private" if files else "nothing to protect yet")


def _backups(config: Settings) -> Line:
    """Whether there is a fresh copy of the books."""
    if not config.storage.path.exists():
        return Line("backups", Mark.OK, "nothing to copy yet")
    folder = config.backup.folder_of(config.storage.path)
    now = datetime.now(UTC)
    newest = newest_backup(folder, now)
    if newest is None:
        return Line("backups", Mark.WARNING, f"none in {folder}", "make one: otpdesk backup")
    days = (now - newest).total_seconds() / 86_400
    found = f"the newest in {folder} is {days:.1f} days old"
    if days > _OLDEST_BACKUP_DAYS:
        return Line("backups", Mark.WARNING, found, "set backup.every, or run otpdesk backup from a timer")
    return Line("backups", Mark.OK, found)


def _disk(database: Path) -> Line:
    folder = next(parent for parent in database.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free // 1024 // 1024} MiB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Line("disk", Mark.WRONG, f"{folder} is not writable", "let otpdesk's user write there")
    if free < _LEAST_FREE:
        return Line("disk", Mark.WARNING, found, "make room: a full disk stops new orders")
    return Line("disk", Mark.OK, found)


def _sqlite() -> Line:
    version = sqlite3.sqlite_version
    return Line("sqlite", Mark.OK, f"{version}, journal mode {journal_mode_for(sqlite3.sqlite_version_info)}")


def _database(path: Path, bot_id: str) -> Line:
    if not path.exists():
        return Line("database", Mark.OK, f"{path} will be made at the first start")
    try:
        wrong = look_at(path, ledger.discrepancies, bot_id)
    except DatabaseUnusable as error:
        return Line("database", Mark.WRONG, str(error), "name another file in storage.path, or restore a backup")
    if wrong:
        return Line("database", Mark.WRONG, "; ".join(wrong), "the books disagree: restore a backup, or ask for help")
    return Line("database", Mark.OK, f"{path}, the books agree")


async def _telegram(config: Settings) -> Line:
    bot = make_bot(config.telegram)
    try:
        me = await bot.get_me()
    except InvalidToken:
        return Line("telegram", Mark.WRONG, "the token is rejected", "put @BotFather's token into telegram.token")
    except TelegramError as error:
        reason = f"{config.telegram.base_url} cannot be used: {type(error).__name__}"
        return Line("telegram", Mark.WRONG, reason, "check telegram.base_url and the network")
    finally:
        await bot.close_connections()
    return Line("telegram", Mark.OK, f"@{me.username}")


async def _webhook(config: Settings) -> Line:
    """Where Telegram brings updates, and whether that fits `telegram.mode`."""
    wanted = f"{config.web.public_url}{UPDATES}" if config.telegram.mode == "webhook" else ""
    bot = make_bot(config.telegram)
    try:
        info = await bot.get_webhook_info()
    except TelegramError as error:
        return Line("webhook", Mark.WARNING, f"could not be asked for: {type(error).__name__}", "see telegram")
    finally:
        await bot.close_connections()
    if wanted and config.telegram.base_url == _TELEGRAM and (urlsplit(wanted).port or 443) not in _TELEGRAM_PORTS:
        ports = ", ".join(map(str, _TELEGRAM_PORTS))
        return Line("webhook", Mark.WRONG, f"Telegram takes no such port: {wanted}", f"web.public_url needs {ports}")
    if info.url != wanted and info.url:
        remedy = "if another desk runs with this token, stop it; else the start puts it right"
        return Line("webhook", Mark.WARNING, f"updates are brought to {info.url}", remedy)
    if wanted and info.last_error_message:
        found = f"{wanted}: {info.last_error_message}"
        return Line("webhook", Mark.WARNING, found, "check that web.public_url can be reached from outside")
    return Line("webhook", Mark.OK, wanted or "none: updates are asked for")


async def _smscode(config: Settings) -> Line:
    clock = SystemClock()
    requests = RequestBudget(config.smscode.requests_per_minute, clock)
    async with _closing(requests), make_client(config.smscode.base_url, config.smscode.secret) as client:
        try:
            sms = make_port(config.smscode.contract, Wire(client, requests, clock), clock)
            balance = await sms.balance()
        except TokenRejected:
            return Line("smscode", Mark.WRONG, "the token is rejected", "copy it anew from SMSCode's account settings")
        except SmsError as error:
            return Line("smscode", Mark.WRONG, str(error), "check smscode.base_url and the network")
    how = "found out" if config.smscode.contract == "auto" else "configured"
    found = f"contract {sms.contract} ({how}), balance {format_amount(balance)}"
    if balance == 0:
        return Line("smscode", Mark.WARNING, found, "top the account up before anybody orders")
    return Line("smscode", Mark.OK, found)


async def _clock(config: Settings) -> Line:
    """Compare our clock with the date SMSCode answers with; limits and countdowns hang on it."""
    try:
        async with httpx.AsyncClient(timeout=5.0) as client:
            date = (await client.get(config.smscode.base_url)).headers.get("date")
        skew = abs(parsedate_to_datetime(date).timestamp() - time.time())
    except (httpx.HTTPError, TypeError, ValueError):
        return Line("clock", Mark.WARNING, "could not be compared", "make sure the machine keeps its time by NTP")
    if skew > _MOST_SKEW:
        return Line("clock", Mark.WARNING, f"{skew:.0f} s off", "set the clock; let NTP keep it")
    return Line("clock", Mark.OK, f"{skew:.0f} s off")


@asynccontextmanager
async def _closing(requests: RequestBudget) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await requests.close()
