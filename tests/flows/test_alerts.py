"""What admins are told by itself: each trouble once, with what to do about it."""

from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, TelegramWorld, demo_cast
from bot.sandbox.bot_api import Fault as ChatFault
from bot.sandbox.sms_api import Fault, FaultKind
from bot.services import alarms, easel
from bot.workers.housekeeping import Housekeeping
from tests.clocks import FastClock
from tests.flows.test_reports_spend import DRAWS, FAILS
from tests.scene import NOON, SPEED, Scene, open_hurried_scene, open_scene

MIB = 1024 * 1024
MONDAY = NOON + 2 * 86_400
"""Monday, 16 March 2026, noon in Jakarta."""


def alerts(scene: Scene, text: str, chat_id: int = ADA) -> int:
    return sum(text in said for said in scene.said_by_bot(chat_id))


async def test_a_low_balance_is_told_once_until_it_has_recovered(tmp_path: Path) -> None:
    async with open_scene(tmp_path, alerts={"low_balance": 100_000}) as scene:
        desk = scene.app.desk
        scene.sms.set_balance(99_999)
        await alarms.look_at_balance(desk)
        told = await scene.hears("The SMSCode account has Rp 99.999 left, less than Rp 100.000. Top it up", ADA)
        assert "alerts.low_balance" in told.text
        for balance in (50_000, 101_000, 99_000, 124_999, 99_999):  # a refund alone is no recovery
            scene.sms.set_balance(balance)
            await alarms.look_at_balance(desk)
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/balance"))
        await alarms.look_at_balance(desk)
        scene.sms.set_balance(125_000)
        await alarms.look_at_balance(desk)
        scene.sms.set_balance(7)
        await alarms.look_at_balance(desk)
        await scene.hears("The SMSCode account has Rp 7 left", ADA)
        assert alerts(scene, "The SMSCode account has") == 2


async def test_the_balance_is_looked_at_by_itself_but_not_while_requests_are_short(tmp_path: Path) -> None:
    async with open_scene(tmp_path, members=False, alerts={"low_balance": 1_000_000}) as scene:
        scene.say(ADA, "/start")
        await scene.hears("The SMSCode account has Rp 150.000 left", ADA)
        asked = scene.sms.books.requests["GET", "/v1/balance"]
        scene.app.desk.requests.pause(5.0)
        await alarms.look_at_balance(scene.app.desk)
        assert scene.sms.books.requests["GET", "/v1/balance"] == asked


async def test_a_disk_that_fills_up_is_told_once_until_there_is_room(tmp_path: Path) -> None:
    async with open_scene(tmp_path, alerts={"low_disk": 200}) as scene:
        for free in (250, 199, 100, 240, 199, 251, 10):
            await alarms.look_at_disk(scene.app.desk, lambda _: free * MIB)  # noqa: B023
        await scene.hears("Only 199 MiB are free on the disk of my database. Make room", ADA)
        await scene.hears("Only 10 MiB are free", ADA)
        assert alerts(scene, "MiB are free") == 2
        assert alarms.free_bytes(scene.settings.storage.path) > 0


async def test_a_worker_that_fails_again_and_again_is_told_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path) as scene:

        async def fail(_: Housekeeping) -> None:
            raise ValueError("out of order <b>")

        monkeypatch.setattr(Housekeeping, "tidy", fail)
        told = await scene.hears("A part of me (housekeeping) failed and was restarted", ADA)
        assert "ValueError: out of order <b>. Nothing to do if that stays the only time" in told.text
        worker = next(worker for worker in scene.app.supervisor.workers if worker.name == "housekeeping")
        await scene.until(lambda: worker.restarts >= 3)
        assert alerts(scene, "failed and was restarted") == 1


async def test_an_unclear_order_is_told_once_with_how_to_look_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hurried_scene(tmp_path, monkeypatch) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_BEFORE, route="POST /v1/orders"))
        scene.say(OMAR, "/order whatsapp indonesia")
        told = await scene.hears("Order #1 is unclear", ADA)
        assert "Nothing to do yet: I tell what it was, or ask; /resolve 1 shows what is known." in told.text
        await scene.hears("#1 was not placed and nothing was charged", OMAR)
        assert alerts(scene, "Order #1 is unclear") == 1


@pytest.mark.parametrize("chat", [ADA, TEAM_CHAT])
async def test_last_week_is_told_once_whatever_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chat: int
) -> None:
    """Ordered on Saturday, told from Monday at nine on, in the admins' chat; not told where nobody asked for it.

    One admin gets it as a picture; in the group Telegram takes no pictures, so the numbers come alone.
    """
    drawer = tmp_path / "drawer.py"
    drawer.write_text(DRAWS)
    monkeypatch.setattr(easel, "DRAWER", drawer)
    clock = FastClock(SPEED, NOON)
    telegram = demo_cast(TelegramWorld(now=clock.now))
    telegram.fault(ChatFault(kind="error", method="sendPhoto", chat_id=TEAM_CHAT, times=None))
    access = {"admin_chat": TEAM_CHAT} if chat == TEAM_CHAT else {}
    async with open_scene(tmp_path, telegram=telegram, clock=clock, access=access) as scene:
        order = await scene.order("whatsapp indonesia note=<b>nasty</b>")
        scene.sms.arrive(order.id, "482913")
        await scene.hears("482913", OMAR)
        sms, price = scene.sms, f"Rp {order.price:,}".replace(",", ".")
    clock.jump(MONDAY - 4 * 3600 - clock.now())  # Monday at eight
    on = {"weekly_digest": True}
    async with open_scene(
        tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, access=access, reports=on
    ) as early:
        await early.settle(0.2)
        assert alerts(early, "Last week", chat) == 0
        clock.jump(3700)
        told = await early.hears("Last week", chat, anew=False)
        assert "9 – 15 Mar 2026" in told.text
        assert price in told.text
        assert ("photo" in told.body) is (chat == ADA)
        assert told.button_texts == (["By member", "By platform", "By country"] if chat == ADA else ["As a picture"])
    async with open_scene(
        tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, access=access, reports=on
    ) as again:
        clock.jump(3 * 86_400)
        await again.settle(0.3)
        assert alerts(again, "Last week", chat) == 1
        clock.jump(4 * 86_400)
        await again.hears("Nothing was ordered in 16 – 22 Mar 2026", chat, anew=False)
        assert await again.count("SELECT count(*) FROM outbox WHERE kind = 'digest'") == 2


async def test_a_week_that_cannot_be_drawn_is_told_in_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawer = tmp_path / "drawer.py"
    drawer.write_text(FAILS)
    monkeypatch.setattr(easel, "DRAWER", drawer)
    async with open_scene(tmp_path, reports={"weekly_digest": True}) as scene:
        await scene.order()
        scene.clock.jump(MONDAY - scene.clock.now())
        told = await scene.hears("9 – 15 Mar 2026", ADA, anew=False)
        assert "photo" not in told.body
        assert told.button_texts == ["As a picture"]
