"""The stage of the demo and of the tour: both worlds on loopback, and the real bot between them."""

import errno
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from starlette.applications import Starlette
from starlette.types import ASGIApp

from bot.sandbox.backstage import Backstage
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, TelegramWorld, bot_app, demo_cast
from bot.sandbox.child import BotCommand, BotProcess
from bot.sandbox.server import LoopbackServer, PortTaken
from bot.sandbox.sms_api import DEFAULT_BEARER, Contract, SmsWorld, WebhookSender, sms_app, sms_control_app
from bot.sandbox.story import STORIES

PATIENCE_SECONDS: Final = 15.0
"""How long a busy computer may take for what normally takes one second."""

_HIGHEST_PORT: Final = 65_535
_FIRST_EVENT_PORT: Final = 18_080
_CONFIG: Final = """\
# The limits are easy to meet: a number for WhatsApp in Germany is over the limit of one order, one for Telegram in
# Poland needs somebody else's yes.
[telegram]
token = "{telegram_token}"
base_url = "{telegram_url}"

[smscode]
token = "{sms_token}"
base_url = "{sms_url}"
contract = "{contract}"
webhook_secret = "{secret}"

[storage]
path = "{database}"

[access]
owners = [{owner}]

[limits]
per_order = 7_000
daily = 30_000
monthly = 200_000
team_daily = 60_000
team_monthly = 500_000
confirm_above = 6_000
approve_above = 6_500

[polling]
interval = 2
"""
_CONFIG_FOR_EVENTS: Final = """
[web]
listen = "127.0.0.1:{port}"
public_url = "http://127.0.0.1:{port}"
"""
"""What the official contract adds: SMSCode may send its events to the desk."""


class CannotOpen(Exception):
    """The stage cannot be set; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything the demo and the tour play with. `log` is the bot's own log."""

    telegram: TelegramWorld
    sms: SmsWorld
    bot: BotProcess
    url: str
    log: Path
    contract: Contract

    async def until_polled(self) -> None:
        """Wait until the bot really asks Telegram for updates.

        Raises:
            AssertionError: it did not in time.
        """
        await self.telegram.wait_until(
            lambda: any(call.method.lower() == "getupdates" for call in self.telegram.calls),
            PATIENCE_SECONDS,
            described="the bot's first question to Telegram",
        )


@asynccontextmanager
async def open_stage(
    command: BotCommand,
    tell: Callable[[str], None],
    *,
    port: int = 0,
    seed: int = 0,
    arrival: tuple[float, float] | None = None,
    contract: Contract = "guide",
) -> AsyncIterator[Stage]:
    """Open both worlds and start the bot between them; at the end all of it is gone, the files too.

    Args:
        command: how the bot is started.
        tell: hears in one sentence of every death and new start of the bot.
        port: where the chat page is; 0 lets the system choose.
        seed: what the worlds are made from.
        arrival: shortest and longest wait for an SMS in seconds; None: only when told.
        contract: what SMSCode speaks; over the official one it sends its events as well.

    Raises:
        CannotOpen: the port is taken.
    """
    telegram = demo_cast(TelegramWorld(seed=seed))
    sms = SmsWorld(seed=seed, arrival=arrival)
    async with AsyncExitStack() as stack:
        backstage = Backstage(telegram, sms, STORIES[contract])
        page = await serve(stack, sandbox_app(telegram, sms, backstage), port, "otpdesk demo --port")
        webhooks = await stack.enter_async_context(WebhookSender(sms))
        api = await serve(stack, sms_app(sms, contract, webhooks))
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="otpdesk-demo-")))
        config = _write_config(folder, telegram.token, page.url, api.url, contract)
        log = folder / "bot.log"
        bot = await stack.enter_async_context(BotProcess(command, config, log, tell))
        backstage.bot = bot
        yield Stage(telegram, sms, bot, page.url, log, contract)


def sandbox_app(telegram: TelegramWorld, sms: SmsWorld, backstage: Backstage | None = None) -> Starlette:
    """The Bot API with its chat page, the strings of the SMSCode world under `/world`, and the switches of both."""
    switches = backstage or Backstage(telegram, sms)
    return bot_app(telegram, outside=sms_control_app(sms), backstage=switches.app())


async def serve(stack: AsyncExitStack, app: ASGIApp, port: int = 0, option: str = "") -> LoopbackServer:
    """Serve `app` until the stack unwinds; `option` is what a person would type another port after.

    Raises:
        CannotOpen: the port cannot be had.
    """
    try:
        return await stack.enter_async_context(LoopbackServer(app, port))
    except PortTaken as error:
        cause = error.__cause__
        reason = cause.strerror if isinstance(cause, OSError) and cause.errno != errno.EADDRINUSE else ""
        why = f"may not be used here ({reason})" if reason else "is taken by another program"
        free = _free_port_after(port)
        raise CannotOpen(f"Port {port} {why}. Port {free} is free: {option} {free}") from error


async def prepare(stage: Stage) -> None:
    """Play what went before: Omar was turned away once, Ada has let him in as an operator, and the team has topics.

    Raises:
        AssertionError: the bot did not answer in time; the message shows the chat.
    """
    telegram = stage.telegram
    telegram.say(ADA, "/start")
    telegram.say(OMAR, "/start")
    await telegram.wait_for("Hello", ADA, PATIENCE_SECONDS)
    await telegram.wait_for("team only", OMAR, PATIENCE_SECONDS)
    telegram.say(ADA, f"/allow {OMAR} operator")
    await telegram.wait_for("You are in", OMAR, PATIENCE_SECONDS)
    await telegram.wait_for("I work in", TEAM_CHAT, PATIENCE_SECONDS)
    telegram.open_forum(TEAM_CHAT, ("Sign-up tests", "Regions"), by=ADA)


def _free_port_after(port: int) -> int:
    """The next port that nobody listens on; above 1024, where everybody may."""
    for candidate in range(max(port + 1, 1025), _HIGHEST_PORT + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return candidate
    return 0


def _write_config(folder: Path, telegram_token: str, telegram_url: str, sms_url: str, contract: Contract) -> Path:
    """The bot's configuration, readable by its owner alone as one with real tokens should be."""
    path = folder / "config.toml"
    text = _CONFIG.format(
        telegram_token=telegram_token,
        telegram_url=telegram_url,
        sms_token=DEFAULT_BEARER,
        sms_url=sms_url,
        contract=contract,
        secret=secrets.token_hex(16),
        database=folder / "desk.sqlite3",
        owner=ADA,
    )
    if contract == "official":
        text += _CONFIG_FOR_EVENTS.format(port=_free_port_after(_FIRST_EVENT_PORT))
    path.touch(0o600, exist_ok=False)
    path.write_text(text, "utf-8")
    return path
