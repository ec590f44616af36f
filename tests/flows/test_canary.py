"""Canaries: tokens, codes, SMS texts and numbers go down every path, and are looked for where they must not be.

The libraries are made as talkative as they can be, which the desk itself never does.
"""

import io
import json
import logging
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot import logs
from bot.config import Logging
from bot.domain.orders import RemoteOrder, Sms
from bot.sandbox.bot_api import DEFAULT_TOKEN, OMAR
from bot.sandbox.bot_api import Fault as ChatFault
from bot.sandbox.sms_api import Fault, FaultKind, Order
from bot.web.app import Door
from storage import orders
from storage.backup import back_up
from storage.inbox import Pending
from tests.scene import Scene, open_scene
from tests.web.site import answers, free_port

SECRET = "smscode-4f1c_not.for/any+eyes=="
CODES = ("48039127", "G-774411", "90511862")
"""Long enough to be no part of a time by chance, of which a log is full."""
TEXT = 'Canary: don\'t share <b>{}</b> & "keep" it, émile'


@dataclass
class Page:
    """What was written, and what must not be in it."""

    stream: io.StringIO = field(default_factory=io.StringIO)
    canaries: list[str] = field(default_factory=lambda: [SECRET, "4f1c_not", DEFAULT_TOKEN.partition(":")[2]])

    def hits(self, place: str) -> list[str]:
        """The canaries that are in a text."""
        return [canary for canary in self.canaries if canary in place]


@pytest.fixture(params=["console", "json"])
def page(request: pytest.FixtureRequest) -> Page:
    """Logging as the desk sets it up, at DEBUG, and then every library at DEBUG as well."""
    page = Page()
    logs.configure(Logging(level="DEBUG", format=request.param), [SECRET, DEFAULT_TOKEN], page.stream)
    for name in logs.CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    return page


async def test_nothing_secret_is_anywhere_but_in_the_chat(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    async with (
        open_scene(
            tmp_path,
            contract="official",
            smscode={"token": "sandbox", "webhook_secret": SECRET},
            web={"listen": f"127.0.0.1:{port}"},
        ) as scene,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        await answers(client)
        await _many_ways(scene, page)
        await _breaking_handlers(scene, page, monkeypatch)
        metrics = (await client.get("/metrics")).text
        copy = tmp_path / "copy.sqlite3"
        back_up(tmp_path / "desk.sqlite3", copy, scene.settings.telegram.bot_id, datetime.now(UTC))
        rows = await scene.app.desk.database.read(_all_but_sms)
        objects = await scene.app.desk.database.read(_reprs)
        written = page.stream.getvalue()

        assert len(written) > 10_000
        assert page.hits(written) == []
        assert page.hits(metrics) == []
        assert page.hits(objects + repr(scene.settings)) == []
        numbers = {order.phone_number.removeprefix("+") for order in scene.sms.books.orders.values()}
        secrets = [canary for canary in page.canaries if canary not in numbers]
        assert [canary for canary in secrets if canary in rows] == []
        assert [canary for canary in secrets if canary.encode() in copy.read_bytes()] == []
        assert (tmp_path / "desk.sqlite3").stat().st_mode & 0o077 == 0
        assert copy.stat().st_mode & 0o077 == 0


async def _many_ways(scene: Scene, page: Page) -> None:
    """A code, a text with markup, a second SMS, faults on the way, a member who quotes a code, an order that ends."""
    for number, code in enumerate(CODES):
        order = await _order(scene, "whatsapp indonesia" if number % 2 else "telegram vietnam")
        text = TEXT.format(code)
        page.canaries += [code, text, order.phone_number.removeprefix("+")]
        if number == 0:
            scene.sms.faults.add(Fault(kind=FaultKind.TRUNCATED), Fault(kind=FaultKind.ERROR_AFTER))
            scene.telegram.fault(ChatFault(kind="error_after", method="sendMessage"))
        scene.sms.arrive(order.id, code, text)
        message = await scene.hears(code, OMAR)
        scene.telegram.say(OMAR, "/cancel", reply_to=message.message_id)
        await scene.settle(0.1)


async def _order(scene: Scene, text: str) -> Order:
    known = set(scene.sms.books.orders)
    scene.say(OMAR, f"/order {text}")
    await scene.until(lambda: len(scene.sms.books.orders) > len(known))
    (order,) = [order for order in scene.sms.books.orders.values() if order.id not in known]
    return order


async def _breaking_handlers(scene: Scene, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that raises with a secret in its hands, which is how most secrets get into a log."""
    order = await _order(scene, "whatsapp vietnam")
    page.canaries += ["33779911", order.phone_number.removeprefix("+")]

    def breaks(*values: object) -> Any:
        raise RuntimeError(f"cannot write {values!r} for {order.phone_number} with {DEFAULT_TOKEN}")

    def breaks_with_sms(order: object, sms: Sms, _: str) -> Any:
        raise RuntimeError(f"cannot write {order!r} {sms.code}")

    scene.broken_on_purpose = True
    with monkeypatch.context() as patched:
        patched.setattr("bot.chat.texts.code", breaks_with_sms)
        patched.setattr("bot.chat.texts.statement", breaks)
        scene.sms.arrive(order.id, "33779911")
        scene.say(OMAR, "/whoami")
        await scene.hears("", OMAR)
        await scene.until(lambda: "broke off" in page.stream.getvalue() and "cannot write" in page.stream.getvalue())
        await scene.until(lambda: page.stream.getvalue().count("cannot write") >= 2)
    await scene.hears("33779911", OMAR, anew=False)


def _all_but_sms(connection: sqlite3.Connection) -> str:
    """Everything in the database that is no SMS, letters and audit included."""
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    kept = [table for table in tables if table not in ("sms", "inbox")]
    return "\n".join(repr(tuple(row)) for table in kept for row in connection.execute(f"SELECT * FROM {table}"))  # noqa: S608


def _reprs(connection: sqlite3.Connection) -> str:
    """What a debugger or a careless log line would show of the desk's own objects."""
    found: list[object] = [*orders.watched(connection), *orders.open_of(connection, None)]
    found += [orders.latest_sms(connection, order.id) for order in orders.watched(connection)]
    found.append(RemoteOrder("1", "OTP_RECEIVED", None, phone_number="628100001111", code=CODES[0], text=TEXT))
    found.append(Pending(1, 2, json.dumps({"text": CODES[0]})))
    return repr(found)


async def test_one_id_leads_from_the_command_to_the_request_and_the_letters(page: Page, tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, "480391")
        await scene.hears("480391", OMAR)
        await scene.until(lambda: "the code of order 1 is in its chat" in page.stream.getvalue())
        command = await scene.app.desk.database.read(
            lambda connection: connection.execute("SELECT command_key FROM orders").fetchone()[0]
        )
        letters = await scene.app.desk.database.read(
            lambda connection: [row[0] for row in connection.execute("SELECT command FROM outbox WHERE order_id = 1")]
        )
        about = [line for line in page.stream.getvalue().splitlines() if command in line]
        assert set(letters) == {command}
        assert len(letters) >= 2
        for said in ("POST /v1/orders took", "GET /v1/orders/", "the code of order 1 is in its chat"):
            assert [line for line in about if said in line], said
        assert [line for line in about if "POST /v1/orders took" in line and "request req_" in line]
        assert not [line for line in about if "480391" in line]


def test_no_library_has_a_handler_that_goes_past_ours(page: Page) -> None:
    logs.configure(Logging(level="DEBUG"), [SECRET], page.stream)
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
    beside = [handler for logger in loggers for handler in logger.handlers]
    assert [handler for handler in beside if type(handler).__name__ not in ("NullHandler", "LogCaptureHandler")] == []
    assert "s3cret" not in repr(Door("s3cret-of-telegram", _keep))


async def _keep(_: object) -> None: ...


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("the number is +62 812-3456-7890.", "the number is ***."),
        ("call +6281234567890 now", "call *** now"),
        ("the code 480391 came", "the code *** came"),
        ("order 1480391 and 4803912 stay", "order 1480391 and 4803912 stay"),
        ("2026-03-14T12:00:00+00:00 stays", "2026-03-14T12:00:00+00:00 stays"),
        ("text G-774411!", "text ***!"),
        ("number 6285500001111", "number ***"),
    ],
)
def test_what_was_learned_is_masked_and_the_rest_stays(line: str, shown: str) -> None:
    logs.conceal("480391", "G-774411", "+6285500001111", None, "", "ab")
    assert logs.Redactor([]).redact(line) == shown


def test_only_the_newest_are_remembered() -> None:
    for number in range(6000):
        logs.conceal(f"x{number}", f"a phrase {number}")
    assert len(logs._words) <= 5000
    assert len(logs._phrases) <= 1000
    assert logs.Redactor([]).redact("x5999, a phrase 5999") == "***, ***"
