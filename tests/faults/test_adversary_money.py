"""Money and codes where answers cross, clocks differ and chats go away."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT
from bot.sandbox.sms_api import Fault, FaultKind, OrderStatus, SmsWorld
from bot.sandbox.sms_guard import AbuseGuard
from bot.services import backups, evidence
from bot.services.evidence import GRACE_SECONDS
from storage import audit, backup, ledger
from tests.clocks import FastClock, JumpyClock
from tests.scene import HURRY, NOON, SPEED, Scene, open_hurried_scene, open_scene

NADIA = 2004
CREATES = "POST /v1/orders"
BALANCE = "GET /v1/balance"


async def counts_all(scene: Scene) -> None:
    """What is held or spent is at least what SMSCode has taken."""
    team = await scene.app.desk.database.read(lambda rows: ledger.usage(rows, 0, scene.app.desk.calendar.window.day))
    assert team.used >= scene.sms.books.spent


@pytest.mark.parametrize("gone", ["topic", "group"])
async def test_a_code_whose_group_is_the_admins_chat_still_reaches_somebody(tmp_path: Path, gone: str) -> None:
    async with open_scene(tmp_path, access={"owners": (ADA,), "admin_chat": TEAM_CHAT}) as scene:
        scene.telegram.open_forum(TEAM_CHAT, ["codes"], by=ADA)
        (topic,) = scene.telegram.chats[TEAM_CHAT].topics
        scene.say(OMAR, "/order whatsapp indonesia", TEAM_CHAT, thread_id=topic)
        await scene.hears("📱", TEAM_CHAT)
        if gone == "topic":
            del scene.telegram.chats[TEAM_CHAT].topics[topic]
        else:
            scene.telegram.remove_bot(OMAR, TEAM_CHAT)
        scene.sms.arrive(scene.remote_id, code="847291")
        await scene.until(
            lambda: any("847291" in said for chat in scene.telegram.chats for said in scene.said_by_bot(chat))
        )


async def test_an_answer_that_comes_while_an_admin_decides_is_not_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = "POST /v1/orders/create"
    async with open_hurried_scene(tmp_path, monkeypatch, contract="official") as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=route, times=6))
        scene.sms.faults.add(Fault(kind=FaultKind.LATE, route=route, seconds=0.8))
        await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
        # Asked again under the same key; the answer, which names the number, is on its way.
        await scene.until(lambda: scene.sms.books.requests["POST", "/v1/orders/create"] == 7)
        await scene.ask(ADA, "/resolve 1 refunded", "#1")
        await scene.settle(1.5)
        await counts_all(scene)


async def test_an_order_that_ends_just_before_the_balance_is_read_proves_nothing_for_an_unclear_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, polling={"interval": 60}) as scene:
        desk, other = scene.app.desk, await scene.order()
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATES))
        # The outage that cut the answer off goes on for longer than the grace time.
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route=BALANCE, after_calls=1, times=100_000))
        await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
        await scene.until(lambda: 2 in desk.unclear_since)
        scene.clock.jump(GRACE_SECONDS + 30)
        await scene.settle(0.3)  # the look at #1 that was due is over
        read = desk.sms.balance

        async def ends_first() -> int:
            if other.live:
                scene.sms.expire(other.id)  # after evidence.py has looked at it, before its balance is taken
            return await read()

        monkeypatch.setattr(desk.sms, "balance", ends_first)
        scene.sms.faults.clear()
        await scene.hears("#1 expired", OMAR)
        await scene.settle(1.0)
        await counts_all(scene)


async def test_a_refund_that_shows_late_is_no_proof_that_the_next_order_was_not_charged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hurried_scene(tmp_path, monkeypatch) as scene:
        first = await scene.order()
        scene.sms.expire(first.id)
        scene.sms.set_balance(scene.sms.balance - first.price)  # the money is not there yet
        await scene.hears("#1 expired", OMAR)  # and booked as back all the same
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATES))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.until(lambda: len(scene.sms.books.orders) == 2)
        scene.sms.set_balance(scene.sms.balance + first.price)  # now it is
        await scene.hears("gave no clear answer", OMAR)
        began = scene.clock.now()
        await scene.until(lambda: scene.clock.now() > began + 2 * GRACE_SECONDS)
        await counts_all(scene)


async def test_unused_orders_are_canceled_before_they_expire_also_where_webhooks_are_proven(tmp_path: Path) -> None:
    """Proven webhooks make lists rare, rarer than the moments in which an order may be canceled are long."""
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=False, order_lifetime=240.0)
    rules, limits, polling = {"cancel_before_expiry": 20}, {"active_orders": 50}, {"interval": 20}
    opening = open_scene(
        tmp_path, sms=sms, clock=clock, contract="official", ordering=rules, limits=limits, polling=polling
    )
    async with opening as scene:
        for _ in range(3):
            scene.app.desk.webhooks.was_first()
        made = []
        for _ in range(6):
            made.append(await scene.order())
            await clock.sleep(10.0)
        await scene.until(lambda: not any(order.live for order in made))
        assert [order.status for order in made] == [OrderStatus.CANCELLED] * 6


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("/pause stocktaking", "New orders are paused: stocktaking"),
        (f"/limit {OMAR} daily 5000", "has only Rp 800 left"),
        (f"/limit {OMAR} per_order 4199", "your limit per order is Rp 4.199"),
        (f"/role {OMAR} viewer", "needs the role operator"),
    ],
)
async def test_again_that_cannot_order_does_not_end_the_number_first(tmp_path: Path, deed: str, why: str) -> None:
    async with open_scene(tmp_path) as scene:
        number = await scene.order()
        scene.sms.arrive(number.id, "314159")
        await scene.hears("314159", OMAR)
        await scene.ask(ADA, deed, "")
        await scene.ask(OMAR, "/again 1", why)
        await scene.settle()
        assert number.live


async def test_again_at_a_used_up_limit_lives_on_what_comes_back(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"daily": 4_200}) as scene:
        first = await scene.order()
        await scene.ask(OMAR, "/again 1", "#1 is canceled. Rp 4.200 came back.")
        await scene.hears("📱", OMAR, anew=False)
        await scene.until(lambda: len(scene.sms.books.orders) == 2)
        assert not first.live
        await scene.reconcile()


async def test_a_planned_cancel_waits_for_a_server_whose_clock_is_behind(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=lambda: clock.now() - 40, arrival=None, cancel_window=60.0)
    limits = {"cancels_per_day": 5}
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", limits=limits) as scene:
        await scene.order()
        told = await scene.ask(OMAR, "/cancel 1", "be canceled yet")
        scene.press(OMAR, told, "Cancel as soon as it can be")
        await scene.hears("I cancel #1 by myself", OMAR)
        await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)


async def test_cancels_that_smscode_refused_use_nothing_up(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"cancels_per_day": 2}, contract="official") as scene:
        await scene.order()
        scene.sms.provider_errors = 2
        for _ in range(2):
            await scene.ask(OMAR, "/cancel 1", "#1 is not canceled")
        await scene.ask(OMAR, "/cancel 1", "#1 is canceled")


async def test_an_admin_can_book_what_came_back_for_a_lost_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hurried_scene(tmp_path, monkeypatch) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATES))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.hears("#1 was paid", OMAR)
        (lost,) = scene.sms.live_orders()
        scene.sms.cancel_order(lost.id)  # found in the dashboard, as the message says
        await scene.ask(ADA, "/resolve 1 refunded", "#1")
        await scene.reconcile()


async def test_a_raised_limit_warns_anew(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"daily": 4_200}) as scene:
        await scene.order()
        await scene.hears("Rp 4.200 of Rp 4.200", OMAR)
        await scene.ask(ADA, f"/limit {OMAR} daily 8400", "8.400")
        await scene.order()
        await scene.hears("Rp 8.400 of Rp 8.400", OMAR, patience=3)


async def test_a_backup_from_the_future_does_not_eat_the_history(tmp_path: Path) -> None:
    async with open_scene(tmp_path, backup={"every": 0, "keep": 3}) as scene:
        desk = scene.app.desk
        object.__setattr__(desk.settings.backup, "every", 86_400)
        made = (await backups.make(desk, audit.DESK)).path
        future = backup.file_name(datetime.fromtimestamp(NOON + 365 * 86_400, UTC))
        (made.parent / future).write_bytes(made.read_bytes())  # a clock was a year ahead for a moment
        assert await backups.due_in(desk) > 0


async def test_only_the_decision_that_counts_is_in_the_audit(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(HURRY, NOON)) as scene:
        desk = scene.app.desk
        scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATES))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.until(lambda: len(scene.sms.books.orders) == 1)
        scene.sms.set_balance(400_001)
        await scene.hears("needs your word", ADA, anew=False)
        await asyncio.gather(
            evidence.resolve(desk, 1, charged=True, admin_id=ADA),
            evidence.resolve(desk, 1, charged=False, admin_id=OMAR),
            return_exceptions=True,
        )
        assert [line.detail for line in await scene.audited("order.resolve")] == [{"charged": True}]


async def test_the_card_says_where_the_code_went_only_once_it_did(tmp_path: Path) -> None:
    rules = {"cancel_before_expiry": 0, "code_delivery": "dm"}
    async with open_scene(tmp_path, ordering=rules) as scene:
        await scene.hire(NADIA, "Nadia")
        scene.telegram.join(NADIA, TEAM_CHAT)
        scene.telegram.chats[NADIA].started = False
        scene.say(NADIA, "/order whatsapp indonesia", TEAM_CHAT)
        card = await scene.hears("📱", TEAM_CHAT)
        scene.sms.arrive(scene.remote_id, code="563412")
        await scene.hears("I cannot write to you in private", TEAM_CHAT)
        await scene.settle()
        assert "The code went to Nadia in private" not in card.text


async def test_what_an_admin_has_decided_is_not_said_to_be_shown_by_the_balance(tmp_path: Path) -> None:
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=False)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        order = await scene.order()
        sms.expire(order.id)
        await scene.hears("#1 expired", OMAR)
        sms.set_balance(sms.balance + 1234)
        await scene.hears(lambda message: "resolve 1" in message.text, ADA, anew=False)
        await scene.ask(ADA, "/resolve 1 refunded", "settled")
        assert "as the balance shows" not in (await scene.hears("#1 had expired", OMAR)).text


async def test_the_guard_of_a_clock_that_was_wrong_ends_once_it_is_right(tmp_path: Path) -> None:
    clock = JumpyClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        clock.set_by = 30 * 86_400
        sms.trip_abuse_guard(90.0)
        await scene.ask(OMAR, "/order whatsapp vn", "takes no new order")
        clock.set_by = 0
        sms.guard = AbuseGuard(None, 60.0)  # it is over
        scene.clock.jump(600)
        await scene.ask(OMAR, "/order whatsapp vn", "📱")


async def test_a_country_whose_name_holds_a_comma_can_be_approved_and_asked_for_again(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"approve_above": 0}) as scene:
        scene.sms.set_product("korea, south", "whatsapp", 3000, 5)
        scene.say(OMAR, "/order whatsapp korea")
        await scene.hears("Request 1", ADA, anew=False)
        await scene.ask(ADA, "/approve 1", "Approved. #1")
        await scene.hears("📱", OMAR, anew=False)
        scene.say(OMAR, "/again 1")
        asked = await scene.hears("Request 2", ADA)
        assert "korea, south" in asked.text
