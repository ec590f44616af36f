"""Delivery under attack: a full group, a deletion that comes due, answers that make no sense, statuses that flap."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bot.app import open_app
from bot.sandbox.bot_api import ADA, OMAR, TelegramWorld, demo_cast
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import SmsWorld
from tests.clocks import FastClock, JumpyClock
from tests.scene import NOON, SPEED, Scene, configure, open_scene

GROUP = -4007


async def test_a_code_overtakes_a_card_that_waits_for_its_place_in_a_full_group(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(10.0, NOON)) as scene:
        scene.telegram.add_chat(GROUP, "Small", type="group", members=(ADA, OMAR))
        scene.telegram.add_bot_to_group(ADA, GROUP)
        await scene.hears("I work in", GROUP)
        scene.say(OMAR, "/order whatsapp indonesia", GROUP)
        await scene.hears("📱", GROUP)
        people = [await scene.hire(8000 + number, f"Member {number}") for number in range(13)]
        scene.telegram.chats[GROUP].members |= dict.fromkeys(people, "member")
        for user_id in people:
            scene.telegram.say(user_id, "/whoami", GROUP)
        await scene.until(lambda: len(scene.said_by_bot(GROUP)) >= 15)
        first = scene.remote_id
        scene.say(OMAR, "/order whatsapp vietnam", GROUP)
        await scene.until(lambda: len(scene.sms.books.orders) == 2)
        await scene.settle()  # its card has no place in this minute any more
        asked_at = scene.clock.now()
        scene.sms.arrive(first, code="424242")
        code = await scene.hears("424242", GROUP)
        assert code.sent_at - asked_at < 15


async def test_a_code_that_still_waits_for_its_chat_is_not_deleted_before(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(60.0, NOON), retention={"codes": 60}) as scene:
        order = await scene.order()
        scene.telegram.down = True
        sms = scene.sms.arrive(order.id, code="161803")
        await scene.until(lambda: sms.shown_at is not None)
        scene.sms.complete(order.id)
        await _ended(scene)
        await scene.settle(3.0)  # three times as long as codes are kept
        assert await scene.count("SELECT count(*) FROM sms WHERE purged = 1") == 0
        scene.telegram.down = False
        await scene.hears("161803", OMAR)
        await scene.written("SELECT count(*) FROM sms WHERE purged = 1")


async def test_a_number_that_is_missing_and_codes_of_any_shape_reach_the_chat(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        for code in ("   ", "x" * 900, "<b>&\u202e", "0"):
            scene.say(OMAR, "/order whatsapp indonesia")
            await scene.hears("📱", OMAR)
            (order,) = scene.sms.live_orders()
            order.phone_number = ""
            scene.sms.arrive(order.id, code=code)
            await scene.hears("🔑", OMAR)
            scene.sms.complete(order.id)
        await scene.settle()
        assert await scene.count("SELECT count(*) FROM outbox WHERE state = 'dead'") == 0


async def test_a_status_that_flaps_pushes_each_code_once_and_refunds_nothing(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(60.0, NOON)) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, code="111222")
        await scene.hears("111222", OMAR)
        for status in ("WAITING", "OTP_RECEIVED", "WAITING", "PENDING", "WAITING", "PENDING"):
            scene.sms.set_status(order.id, status)
            await asyncio.sleep(0.35)
        assert sum("111222" in text for text in scene.said_by_bot(OMAR)) == 1
        assert sum("PENDING" in text for text in scene.said_by_bot(OMAR)) == 1
        scene.sms.set_status(order.id, "CANCELLED")
        await _ended(scene)
        await scene.reconcile()  # a cancel after the code gives nothing back


async def test_an_order_number_that_was_seen_before_is_settled_by_the_balance(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        order = await before.order()
        before.sms.expire(order.id)
        await before.hears("#1 expired", OMAR)
        await before.stop()
    reset = SmsWorld(now=before.clock.now, arrival=None)  # the same dice: it gives the same order ids again
    async with open_scene(tmp_path, telegram=before.telegram, sms=reset, clock=before.clock, members=False) as after:
        after.say(OMAR, "/order whatsapp indonesia")
        assert [one.id for one in before.sms.books.orders.values()] == [order.id]
        await after.hears("#2 was paid", OMAR, patience=15)
        assert [one.id for one in reset.books.orders.values()] == [order.id]
        assert not any("Nothing was charged" in text for text in after.said_by_bot(OMAR))
        await after.reconcile()


async def test_a_date_set_back_keeps_no_code_waiting(tmp_path: Path) -> None:
    clock = JumpyClock(SPEED, NOON)
    async with open_scene(tmp_path, clock=clock) as scene:
        order = await scene.order()
        scene.telegram.down = True
        scene.sms.arrive(order.id, code="314159")
        waits = "SELECT count(*) FROM outbox WHERE kind = 'code' AND attempts > 1 AND state = 'pending'"
        await scene.written(waits)
        clock.set_by = -6 * 3600.0
        scene.telegram.down = False
        await scene.hears("314159", OMAR)


async def test_a_press_whose_button_cannot_be_written_is_done_once_it_can(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        database = scene.app.desk.database
        scene.say(OMAR, "/order whatsapp indonesia")
        card = await scene.hears("📱", OMAR)
        trouble = "CREATE TRIGGER trouble BEFORE UPDATE ON buttons BEGIN SELECT no_such_function(); END"
        await database.transact(lambda connection: connection.execute(trouble))
        scene.press(OMAR, card, "Cancel and refund")
        await scene.settle(0.3)
        assert scene.sms.live_orders()
        await database.transact(lambda connection: connection.execute("DROP TRIGGER trouble"))
        await scene.hears("#1 is canceled", OMAR)
        await scene.reconcile()


async def test_a_telegram_that_answers_at_once_with_nothing_is_not_asked_without_end(tmp_path: Path) -> None:
    answers: tuple[object, ...] = ([], {}, [{"no": "id"}], [{"update_id": 2**70}])
    for number, nothing in enumerate(answers):
        async with _strange_telegram(nothing) as (url, asked):
            settings = configure(tmp_path / str(number), demo_cast(TelegramWorld()), url, url)
            async with open_app(settings, FastClock(1.0, NOON)) as app:
                run = asyncio.create_task(app.run())
                await asyncio.sleep(0.8)
                app.stop()
                await run
        assert 1 <= len(asked) <= 3, nothing


@asynccontextmanager
async def _strange_telegram(updates: object) -> AsyncIterator[tuple[str, list[float]]]:
    asked: list[float] = []

    async def answer(request: Request) -> JSONResponse:
        if request.url.path.endswith("/getMe"):
            me = {"id": 7, "is_bot": True, "first_name": "Desk", "username": "desk_bot"}
            return JSONResponse({"ok": True, "result": me})
        if request.url.path.endswith("/getUpdates"):
            asked.append(time.monotonic())
            return JSONResponse({"ok": True, "result": updates})
        return JSONResponse({"ok": True, "result": True})

    async with LoopbackServer(Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST"])])) as server:
        yield server.url, asked


async def _ended(scene: Scene) -> None:
    await scene.written("SELECT count(*) FROM orders WHERE ended_at IS NOT NULL")
