"""The composition root: the only place that wires the parts, and their life from start to stop."""

import asyncio
import contextlib
import logging
import math
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from bot.chat import texts
from bot.chat.application import Chat, make_chat
from bot.clock import Clock, SystemClock
from bot.config import Address, Settings
from bot.metrics import Metrics
from bot.pulse import SMSCODE, Pulse
from bot.services import access, evidence
from bot.services.catalog import Catalog
from bot.services.desk import Desk
from bot.services.hints import Hints
from bot.sms.budget import RequestBudget
from bot.sms.client import make_client
from bot.sms.detect import make_port
from bot.sms.wire import Call, Note, Wire
from bot.workers.archive import Archive
from bot.workers.caretaker import Caretaker
from bot.workers.courier import Courier
from bot.workers.dispatch import Dispatch
from bot.workers.eraser import Eraser
from bot.workers.housekeeping import Housekeeping
from bot.workers.intake import Intake, Reception
from bot.workers.lookout import Lookout
from bot.workers.registrar import Registrar
from bot.workers.supervisor import Supervisor, Worker
from bot.workers.watchdog import ServiceManager, Watchdog
from bot.workers.watcher import Watcher
from storage import audit, members
from storage.books import Comparison
from storage.database import Database, DatabaseDamaged

log = logging.getLogger(__name__)

_START_SECONDS: Final = 0.3
"""How long the start may be held up by comparing the books; what is left is compared beside the first answers."""

DRAIN_SECONDS: Final = 7.0
"""How long work under way may go on after SIGTERM; what is not done by then is on disk."""


@dataclass(frozen=True, slots=True)
class App:
    """The whole desk, put together and not yet running."""

    desk: Desk
    chat: Chat
    supervisor: Supervisor
    manager: ServiceManager | None = None

    async def run(self) -> None:
        """Recover what was left half done, then work until stopped.

        Raises:
            Fatal: a worker has given up on the whole desk.
        """
        books = Comparison()
        await self._recover(books)
        aside = [
            asyncio.create_task(self._introduce(), name="menus"),
            asyncio.create_task(self._compare(books), name="books"),
        ]
        try:
            log.info("the desk is open")
            await self.supervisor.run(DRAIN_SECONDS)
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
        log.info("the desk is closed")

    def stop(self) -> None:
        """Ask the desk to close."""
        if self.manager is not None:
            self.manager.tell("STOPPING=1", "STATUS=finishing what is under way")
        self.supervisor.stop()

    async def _recover(self, books: Comparison) -> None:
        """Before the first new order: orders that broke off get a defined state, and the books must agree.

        Books with a long past are gone through beside the first answers; new orders wait for that.
        """
        broken_off = await evidence.recover(self.desk)
        if broken_off:
            log.warning("%d orders had broken off on their way", broken_off)
        await access.tell_restored(self.desk)
        await self._compare(books, asyncio.get_running_loop().time() + _START_SECONDS)

    async def _compare(self, books: Comparison, until: float = math.inf) -> None:
        """Go on with comparing the books, step by step so that nobody's answer waits for all of it."""
        while not self.desk.compared.is_set():
            if await self.desk.patiently(lambda: self.desk.database.read(books.step)):
                await self._judge(books)
            elif asyncio.get_running_loop().time() > until:
                return

    async def _judge(self, books: Comparison) -> None:
        """Stop orders if the books disagree; only then may new ones be placed, or refused for that reason."""
        if books.wrong:
            reason = "; ".join(books.wrong)
            log.error("the books disagree: %s", reason)
            await access.pause(self.desk, audit.DESK, "the books disagree")
            await self.desk.transact(
                lambda connection: self.desk.alert(
                    connection, f"books:{self.desk.now}", what="books", reason=reason[:300]
                )
            )
        self.desk.compared.set()

    async def _introduce(self) -> None:
        """Show everybody their menu once Telegram is there; a courtesy that nothing waits for."""
        await self.chat.ready.wait()
        await self.chat.menus.install(await access.everybody(self.desk))


@asynccontextmanager
async def open_app(config: Settings, clock: Clock | None = None) -> AsyncIterator[App]:
    """Open the database and the connections, wire everything, and close it all again at the end.

    Raises:
        DatabaseInUse, DatabaseUnusable: the file cannot be used; it is untouched.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await Database.open(config.storage.path, config.telegram.bot_id)
        stack.push_async_callback(database.close)
        client = await stack.enter_async_context(make_client(config.smscode.base_url, config.smscode.secret))
        requests = RequestBudget(config.smscode.requests_per_minute, clock)
        stack.push_async_callback(requests.close)
        metrics, pulse = Metrics(), Pulse(clock)
        wire = Wire(client, requests, clock, _noting(metrics, pulse))
        sms = make_port(config.smscode.contract, wire, clock)
        desk = Desk(
            settings=config,
            database=database,
            sms=sms,
            requests=requests,
            catalog=Catalog(sms, clock, config.ordering.aliases),
            clock=clock,
            hints=Hints(clock),
            pulse=pulse,
            metrics=metrics,
        )
        owners = frozenset(config.access.owners)
        await database.transact(lambda connection: members.install_owners(connection, owners, desk.now))
        chat = make_chat(desk, config.telegram)
        stack.push_async_callback(chat.close)
        manager = ServiceManager.of(os.environ)
        # Somebody wants to know how the desk is.
        is_observed = manager is not None or config.web.address is not None
        workers = _workers(desk, chat, asks_balance=not is_observed)
        if is_observed:
            workers.append(Worker("lookout", Lookout(desk, chat.ask).run))
        if manager is not None:
            workers.append(Worker("watchdog", Watchdog(desk, manager).run))
        yield App(desk, chat, Supervisor(workers, clock, _RestartReport(desk, chat)), manager)


def _workers(desk: Desk, chat: Chat, *, asks_balance: bool) -> list[Worker]:
    web = desk.settings.web
    website, reception = _website(desk, chat, web.address) if web.address is not None else (None, None)
    inlet = reception or Intake(desk, chat.fetch, chat.receive_nowhere)
    workers = [
        Worker("intake", inlet.run),
        Worker("dispatch", Dispatch(desk, chat.handle).run),
        Worker("watcher", Watcher(desk).run),
        Worker("courier", Courier(desk, chat.deliver).run),
        Worker("housekeeping", Housekeeping(desk).run),
        Worker("caretaker", Caretaker(desk, asks_balance=asks_balance).run),
    ]
    if desk.settings.backup.every:
        workers.append(Worker("archive", Archive(desk).run))
    if website is not None:
        workers.append(website)
    if desk.settings.retention.chat:
        workers.append(Worker("eraser", Eraser(desk, chat.deliver.take_back).run))
    if web.public_url and desk.settings.smscode.signing_secret:
        workers.append(Worker("registrar", Registrar(desk).run))
    return workers


def _website(desk: Desk, chat: Chat, address: Address) -> tuple[Worker, Reception | None]:
    """The loop that serves HTTP, and what takes in the updates that Telegram brings to it, if it is to."""
    # Imported here: the libraries behind it take a twentieth of the start, and most desks do not listen.
    from bot.web.app import UPDATES, Door  # noqa: PLC0415
    from bot.web.server import Website  # noqa: PLC0415

    reception = None
    if desk.settings.telegram.mode == "webhook":
        url = f"{desk.settings.web.public_url}{UPDATES}"
        reception = Reception(desk, url, chat.receive_at, chat.received_at)
    door = Door(reception.secret, reception.keep) if reception else None
    return Worker("website", Website(desk, address, door).run), reception


def _noting(metrics: Metrics, pulse: Pulse) -> Note:
    def note(call: Call, status: int | None, seconds: float) -> None:
        metrics.called_smscode(call.method, call.path, str(status or "none"), seconds)
        if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.UNAUTHORIZED:
            pulse.heard(SMSCODE)

    return note


class _RestartReport:
    """Tells the admins when a worker had to be restarted: the first time in an hour, not each time.

    When the database itself is what fails, the outbox cannot carry the news: it goes out directly, once until the
    database can be written again.
    """

    def __init__(self, desk: Desk, chat: Chat) -> None:
        self._desk = desk
        self._chat = chat
        self._told: set[str] = set()

    async def __call__(self, worker: Worker) -> None:
        self._desk.metrics.restarts.labels(worker.name).inc()
        try:
            await self._desk.transact(lambda connection: self._alert(connection, worker))
        except sqlite3.Error as error:
            log.error("the database cannot be written: %s", error)  # noqa: TRY400
            await self._tell_once(
                texts.database_damaged() if isinstance(error, DatabaseDamaged) else texts.database_unwritable()
            )
        else:
            self._told.clear()

    def _alert(self, connection: sqlite3.Connection, worker: Worker) -> None:
        hour = self._desk.now // 3_600_000
        key = f"worker:{worker.name}:{hour}"
        self._desk.alert(connection, key, what="worker", worker=worker.name, reason=worker.last_error)

    async def _tell_once(self, text: str) -> None:
        """Tell it directly; as long as it has reached nobody, the next restart tells it again."""
        if text in self._told:
            return
        # Taken before it is told: all workers fail at once.
        self._told.add(text)
        if not await self._chat.tell_directly(await self._admin_chats(), text):
            self._told.discard(text)

    async def _admin_chats(self) -> list[int]:
        try:
            return await self._desk.database.read(self._desk.admin_chats)
        except sqlite3.Error:
            # Not even that can be read: whom the configuration names is an admin whatever the database says.
            access_rules = self._desk.settings.access
            return [access_rules.admin_chat] if access_rules.admin_chat is not None else list(access_rules.owners)
