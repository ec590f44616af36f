"""A desk that is stopped and started again: live orders are still watched, and a broken-off create is accounted for."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind
from bot.workers.waiting import wait_for
from tests.clocks import FastClock
from tests.scene import NOON, open_scene

CREATE = ("POST", "/v1/orders")


async def test_a_code_still_comes_after_a_restart(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        order = await before.order()
        await before.stop()
    before.sms.arrive(order.id, code="847291")
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        code = await after.hears("847291", OMAR, anew=False)
        assert "Sent again" not in code.text
        await after.settle()
        assert len([text for text in after.said_by_bot(OMAR) if "847291" in text]) == 1
        card = await after.hears("📱", OMAR, anew=False)
        await after.until(lambda: "The code is here" in card.text)
        question = await after.ask(OMAR, "/cancel", "nothing comes back")
        after.press(OMAR, question, "End it, nothing comes back")
        await after.hears("#1 is canceled.", OMAR)
        assert after.sms.books.requests[CREATE] == 1
        await after.reconcile()


async def test_books_that_disagree_at_the_start_stop_orders_and_are_told(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        order = await before.order()
        await before.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "desk.sqlite3")) as connection, connection:
        connection.execute("UPDATE budget SET settled = settled + 1 WHERE owner = ?", (OMAR,))
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        alert = await after.hears("The books disagree", ADA, anew=False)
        assert f"member {OMAR}" in alert.text
        await after.ask(OMAR, "/order whatsapp vietnam", "New orders are paused: the books disagree")
        after.sms.arrive(order.id, code="847291")
        await after.hears("847291", OMAR)
        assert after.sms.books.requests[CREATE] == 1


async def test_what_was_said_while_the_desk_was_closed_is_done_once_it_opens(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        await before.stop()
    before.say(OMAR, "/order whatsapp indonesia")
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.hears("📱", OMAR, anew=False)
        assert after.sms.books.requests[CREATE] == 1
        await after.reconcile()


async def test_a_command_whose_end_was_not_written_down_any_more_buys_nothing_again(tmp_path: Path) -> None:
    database = tmp_path / "desk.sqlite3"
    async with open_scene(tmp_path) as before:
        _change(database, "CREATE TRIGGER cut BEFORE UPDATE OF state ON inbox BEGIN SELECT RAISE(IGNORE); END")
        order = await before.order()
        await before.stop()
    _change(database, "DROP TRIGGER cut")
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.ask(OMAR, "/orders", order.phone_number)
        assert await after.count("SELECT count(*) FROM inbox WHERE state = 'done' AND message_id IS NOT NULL") == 2
        assert after.sms.books.requests[CREATE] == 1
        assert len([text for text in after.said_by_bot(OMAR) if text.startswith("📱")]) == 1
        await after.reconcile()


async def test_an_order_whose_money_was_held_but_never_sent_begins_anew_and_is_bought_once(tmp_path: Path) -> None:
    database = tmp_path / "desk.sqlite3"
    held = "SELECT count(*) FROM orders WHERE state = 'reserved'"
    async with open_scene(tmp_path) as before:
        for table in ("orders", "inbox"):
            _change(
                database,
                f"CREATE TRIGGER cut_{table} BEFORE UPDATE OF state ON {table} BEGIN SELECT RAISE(ABORT, 'gone'); END",
            )
        before.say(OMAR, "/order whatsapp indonesia")
        async with asyncio.timeout(8):
            while not await before.count(held):
                await asyncio.sleep(0.01)
        await before.crash()
    assert not before.sms.books.requests[CREATE]
    _change(database, "DROP TRIGGER cut_orders")
    _change(database, "DROP TRIGGER cut_inbox")
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.hears("📱", OMAR, anew=False)
        assert await after.count("SELECT count(*) FROM orders") == 1
        assert after.sms.books.requests[CREATE] == 1
        await after.reconcile()


def _change(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as books:
        books.execute(statement)


async def test_a_stop_in_the_middle_of_a_create_waits_for_its_answer(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        before.sms.faults.add(Fault(kind=FaultKind.LATE, route="POST /v1/orders", seconds=0.5))
        before.say(OMAR, "/order whatsapp indonesia")
        await before.until(lambda: before.sms.books.requests[CREATE] == 1)
        await before.stop()
        await before.reconcile()
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.hears("📱", OMAR, anew=False)
        after.sms.arrive(after.remote_id, code="847291")
        await after.hears("847291", OMAR, anew=False)
        assert after.sms.books.requests[CREATE] == 1
        await after.reconcile()


@pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.SILENCE])
async def test_a_stop_that_cannot_wait_for_a_create_leaves_it_to_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: FaultKind
) -> None:
    monkeypatch.setattr("bot.app.DRAIN_SECONDS", 0.2)
    charged = kind is FaultKind.LATE
    clock = FastClock(150.0, NOON)
    async with open_scene(tmp_path, clock=clock) as before:
        before.sms.faults.add(Fault(kind=kind, route="POST /v1/orders", seconds=3.0))
        before.say(OMAR, "/order whatsapp indonesia")
        await before.until(lambda: before.sms.books.requests[CREATE] == 1)
        await before.stop()
    async with open_scene(tmp_path, telegram=before.telegram, sms=before.sms, clock=clock, members=False) as after:
        await after.hears("Order #1 is unclear", ADA, anew=False)
        await after.hears("SMSCode gave no clear answer", OMAR, anew=False)
        await after.hears("#1 was paid" if charged else "#1 was not placed", OMAR, anew=False)
        assert len(after.sms.books.charges) == int(charged)
        assert after.sms.books.requests[CREATE] == 1
        await after.reconcile()


async def test_a_worker_that_is_asked_to_stop_always_hears_of_it() -> None:
    clock = FastClock(1.0)
    for turns in range(12):
        signal = asyncio.Event()
        signal.set()
        waiting = asyncio.create_task(wait_for(signal, clock, 60))
        for _ in range(turns):
            await asyncio.sleep(0)
        was_running = waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled() == was_running, f"the stop in turn {turns} was swallowed"
