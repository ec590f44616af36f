"""The whole desk on loopback for a test: the real bot over real HTTP to both simulators, with a fast clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.app import App, open_app
from bot.config import Settings
from bot.domain.access import Role
from bot.domain.money import MOST
from bot.sandbox.bot_api import ADA, OMAR, CallbackAnswer, Message, TelegramWorld, bot_app, demo_cast
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Contract, Order, SmsWorld, WebhookSender, sms_app
from bot.services import access
from storage import audit, inbox, ledger
from tests.clocks import FastClock

SPEED = 20.0
"""The desk's seconds in one real second: a poll every 5 s is a poll every quarter of a second."""

NOON = datetime(2026, 3, 14, 5, 0, tzinfo=UTC).timestamp()
"""Noon in Jakarta: no test's fast clock reaches midnight, when the day's limits start anew."""


HURRY = 150.0
"""The desk's seconds in one real second, where it has to wait for the evidence."""

PATIENCE = 20.0
"""Real seconds for what is awaited; only a test that fails takes them all, however slow the machine."""


@dataclass
class Scene:
    """A running desk and the two worlds around it. Chat in with `say` and `press`, chat out with `hears`."""

    clock: FastClock
    telegram: TelegramWorld
    sms: SmsWorld
    settings: Settings
    app: App
    run: asyncio.Task[None]
    webhooks: WebhookSender
    marks: dict[int, int] = field(default_factory=dict)
    broken_on_purpose: bool = False

    def say(self, user_id: int, text: str, chat_id: int | None = None, **more: Any) -> Message:
        """Type a message; from here on `hears` looks for what comes after it."""
        message = self.telegram.say(user_id, text, chat_id, **more)
        self.marks[message.chat_id] = message.message_id
        return message

    async def hears(
        self, wanted: Callable[[Message], bool] | str, chat_id: int, *, anew: bool = True, patience: float | None = None
    ) -> Message:
        """The bot's message that holds `wanted`, after the last thing said there (`anew`), or ever."""
        after = self.marks.get(chat_id) if anew else None
        return await self.telegram.wait_for(wanted, chat_id, patience or PATIENCE, after_message_id=after)

    async def ask(self, user_id: int, text: str, wanted: str, chat_id: int | None = None) -> Message:
        """Say something and wait for the answer that holds `wanted`."""
        self.say(user_id, text, chat_id)
        return await self.hears(wanted, chat_id if chat_id is not None else user_id)

    def press(self, user_id: int, message: Message, label: str) -> None:
        """Press the button with that label; from here on `hears` looks for what comes after."""
        chat = self.telegram.chats[message.chat_id]
        self.marks[message.chat_id] = max(chat.messages)
        self.telegram.press(user_id, message.chat_id, message.message_id, label)

    async def answer_to(self, query_id: str) -> CallbackAnswer:
        """What a press was answered, once it was."""
        answers = self.telegram.callback_answers
        await self.until(lambda: any(answer.query_id == query_id for answer in answers))
        return next(answer for answer in answers if answer.query_id == query_id)

    async def order(self, text: str = "whatsapp indonesia", user_id: int = OMAR) -> Order:
        """Order a number and wait for its card; return the order as SMSCode has it."""
        known = set(self.sms.books.orders)
        self.say(user_id, f"/order {text}")
        await self.hears("📱", user_id)
        (order,) = [order for order in self.sms.books.orders.values() if order.id not in known]
        return order

    async def reconcile(self, *, held: int = 0) -> None:
        """The desk's books agree within themselves and with SMSCode's; `held` (IDR) is still undecided."""
        period = self.app.desk.calendar.window.day
        team = await self.app.desk.database.read(lambda connection: ledger.usage(connection, 0, period))
        assert await self.app.desk.database.read(ledger.discrepancies) == []
        assert (team.held, team.spent) == (held, self.sms.books.spent)

    @property
    def remote_id(self) -> str:
        """SMSCode's id of the one order that lives there."""
        (order,) = self.sms.live_orders()
        return order.id

    async def has_begun(self) -> None:
        """Wait until the desk is open and has dealt with all that waited for it."""
        await self.app.chat.ready.wait()
        while self.telegram.updates.pending or await self.app.desk.database.read(inbox.depth) > 0:
            await asyncio.sleep(0.005)

    async def until(self, condition: Callable[[], bool], patience: float | None = None) -> None:
        """Wait, in real seconds, until something holds that no message tells of."""
        async with asyncio.timeout(patience or PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)

    async def written(self, query: str) -> None:
        """Wait, in real seconds, until a query of the desk's database gives anything but 0."""
        async with asyncio.timeout(PATIENCE):
            while not await self.count(query):
                await asyncio.sleep(0.01)

    async def settle(self, seconds: float = 0.25) -> None:
        """Let everything that is under way come to rest, in real seconds; for what must NOT happen."""
        await asyncio.sleep(seconds)

    def said_by_bot(self, chat_id: int) -> list[str]:
        """What the bot has said in a chat so far."""
        return [message.text for message in self.telegram.chats[chat_id].visible() if message.from_bot]

    def heard_of_mistakes(self) -> list[str]:
        """What the bot has said, to whomever, about a mistake of its own; a test that ends well has none."""
        return [
            text for chat_id in self.telegram.chats for text in self.said_by_bot(chat_id) if "broke on my side" in text
        ]

    async def hire(self, user_id: int, name: str, role: Role = Role.OPERATOR) -> int:
        """Let a new person in who has already pressed Start; for crowds, without the chat's ceremony."""
        self.telegram.add_user(user_id, name)
        self.telegram.chats[user_id].started = True
        await access.allow(self.app.desk, ADA, user_id, role, name)
        return user_id

    async def audited(self, action: str) -> list[audit.Line]:
        """The audit's lines about that action, newest first."""
        lines = await self.app.desk.database.read(lambda connection: audit.latest(connection, 1000))
        return [line for line in lines if line.action == action]

    async def count(self, query: str, *values: int) -> int:
        """The one number that a query of the desk's database gives."""
        return int(
            await self.app.desk.database.read(lambda connection: connection.execute(query, values).fetchone()[0])
        )

    async def crash(self) -> None:
        """Stop the desk as a power cut does: in the middle, with nothing written down any more."""
        workers = {worker.name for worker in self.app.supervisor.workers}
        at_work = ("letter", "update", "look")
        doomed = [task for task in asyncio.all_tasks() if task.get_name().split()[0] in {*workers, *at_work, "desk"}]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    async def stop(self) -> None:
        """Close the desk as SIGTERM does."""
        self.app.stop()
        await self.run


@asynccontextmanager
async def open_scene(
    folder: Path,
    *,
    telegram: TelegramWorld | None = None,
    sms: SmsWorld | None = None,
    clock: FastClock | None = None,
    members: bool = True,
    contract: Contract = "guide",
    telegram_mode: str = "polling",
    **sections: dict[str, Any],
) -> AsyncIterator[Scene]:
    """Run a desk on the database in `folder`; `sections` override the configuration's sections.

    SMSCode speaks `contract`. The desk is told of the guide and finds the official one out by itself.
    """
    clock = clock or FastClock(SPEED, NOON)
    telegram = telegram or demo_cast(TelegramWorld(now=clock.now))
    sms = sms or SmsWorld(now=clock.now, arrival=None)
    webhooks = WebhookSender(sms)
    if contract == "official":
        sections["smscode"] = {"contract": "auto", **sections.get("smscode", {})}
    async with serve(telegram, sms, contract, webhooks) as (chat_url, api_url):
        settings = configure(folder, telegram, chat_url, api_url, telegram_mode, **sections)
        async with open_app(settings, clock) as app:
            if members:
                await introduce(telegram, app)
            run = asyncio.create_task(app.run(), name="desk")
            pace = asyncio.create_task(clock.keep_pace(), name="pace")
            scene = Scene(clock, telegram, sms, settings, app, run, webhooks)
            try:
                if members:
                    await scene.has_begun()
                yield scene
                assert scene.broken_on_purpose or scene.heard_of_mistakes() == []
            finally:
                app.stop()
                with contextlib.suppress(asyncio.CancelledError):
                    await run
                pace.cancel()


@asynccontextmanager
async def serve(
    telegram: TelegramWorld, sms: SmsWorld, contract: Contract = "guide", webhooks: WebhookSender | None = None
) -> AsyncIterator[tuple[str, str]]:
    """Serve both worlds and give their addresses; side by side, because each takes a moment to close."""
    servers = (LoopbackServer(bot_app(telegram)), LoopbackServer(sms_app(sms, contract, webhooks)))
    await asyncio.gather(*(server.__aenter__() for server in servers))
    try:
        yield servers[0].url, servers[1].url
    finally:
        await asyncio.gather(*(server.__aexit__(None, None, None) for server in servers))


@asynccontextmanager
async def open_hurried_scene(
    folder: Path, monkeypatch: pytest.MonkeyPatch, contract: Contract = "guide"
) -> AsyncIterator[Scene]:
    """A desk in a hurry that gives SMSCode one real second for its answer."""
    monkeypatch.setattr("bot.sms.client.TIMEOUT", httpx.Timeout(5.0, read=1.0))
    async with open_scene(folder, clock=FastClock(HURRY, NOON), contract=contract) as opened:
        yield opened


def configure(
    folder: Path, telegram: TelegramWorld, chat_url: str, api_url: str, telegram_mode: str = "polling", **sections: Any
) -> Settings:
    """The configuration of a desk between two simulators."""
    values: dict[str, dict[str, Any]] = {
        "telegram": {"token": telegram.token, "base_url": chat_url, "mode": telegram_mode},
        "smscode": {"token": "sandbox", "base_url": api_url, "contract": "guide"},
        "access": {"owners": (ADA,)},
        "storage": {"path": folder / "desk.sqlite3"},
        "limits": {"confirm_above": MOST},
        "ordering": {"cancel_before_expiry": 0},
        "backup": {"every": 0},
        "alerts": {"low_balance": 0, "low_disk": 0},
        "logging": {"level": "WARNING"},
    }
    for name, more in sections.items():
        values[name] = {**values.get(name, {}), **more}
    return Settings(**values)  # type: ignore[arg-type]


async def introduce(telegram: TelegramWorld, app: App) -> None:
    """Ada is an admin by the configuration; Omar is an operator. How people get in has tests of its own."""
    for person in (ADA, OMAR):
        telegram.chats[person].started = True
    await access.member(app.desk, ADA, telegram.users[ADA].first_name)
    await access.allow(app.desk, ADA, OMAR, Role.OPERATOR, telegram.users[OMAR].first_name)
