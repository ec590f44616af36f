"""What Telegram does to a message on its way: a code arrives all the same, and a repeat is labelled."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest

from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.sandbox.bot_api import ADA, OMAR, Fault, FaultKind, Message
from bot.sandbox.sms_api import OrderStatus
from storage import outbox
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

BOB = 2003
BASIC = -4007
CALM = 5.0
LABEL = "Sent again: the first try may have arrived."


async def test_when_telegram_asks_to_wait_only_that_chat_waits(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    slow, quick = await scene.order(), await scene.order(user_id=BOB)
    scene.telegram.fault(Fault(kind="rate_limited", method="sendMessage", chat_id=OMAR, retry_after=30))
    scene.sms.arrive(slow.id, code="111111")
    await scene.until(lambda: bool(scene.telegram.plan.fired))
    refused_at = scene.telegram.plan.fired[0].at
    scene.sms.arrive(quick.id, code="222222")
    at_once = await scene.hears("222222", BOB)
    assert _codes(scene, OMAR, "111111") == []
    late = await scene.hears("111111", OMAR)
    assert at_once.sent_at < refused_at + 30 <= late.sent_at
    assert LABEL not in late.text
    await scene.settle()
    assert len(_codes(scene, OMAR, "111111")) == 1


async def test_a_code_arrives_at_least_once_and_a_repeat_says_so(scene: Scene) -> None:
    copies = {
        FaultKind.DELIVER_THEN_DROP: 2,
        FaultKind.ERROR_AFTER: 2,
        FaultKind.BROKEN_JSON: 2,
        FaultKind.TRUNCATED: 2,
        FaultKind.ERROR: 1,
        FaultKind.RESET_BEFORE: 1,
    }
    for number, (kind, expected) in enumerate(copies.items()):
        order, code = await scene.order(), f"31415{number}"
        scene.telegram.fault(Fault(kind=kind, method="sendMessage", chat_id=OMAR))
        scene.sms.arrive(order.id, code=code)
        await scene.hears(LABEL, OMAR)
        await scene.settle(0.15)
        codes = _codes(scene, OMAR, code)
        assert [LABEL in message.text for message in codes] == [False, True][-expected:], kind
        assert all(message.entity_texts("code")[0] == code for message in codes)


async def test_codes_wait_while_telegram_is_down_and_come_when_it_is_back(scene: Scene) -> None:
    first, second = await scene.order(), await scene.order()
    scene.telegram.down = True
    sms = scene.sms.arrive(first.id, code="161803")
    await scene.until(lambda: sms.shown_at is not None)
    other = scene.sms.arrive(second.id, code="271828")
    await scene.until(lambda: other.shown_at is not None)
    await scene.settle()
    scene.telegram.down = False
    await scene.hears("161803", OMAR)
    await scene.hears("271828", OMAR)
    await scene.ask(OMAR, "/whoami", "operator")


async def test_the_code_of_somebody_who_blocked_the_bot_goes_to_the_admins(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    await scene.ask(ADA, f"/role {BOB} admin", "is an admin now")
    order = await scene.order()
    scene.telegram.block(OMAR)
    scene.sms.arrive(order.id, code="577215")
    for admin in (ADA, BOB):
        code = await scene.hears("577215", admin, anew=False)
        assert "for Omar" in code.text
        await scene.hears("The code of order #1 could not be delivered where it belongs", admin, anew=False)
    assert _codes(scene, OMAR, "577215") == []
    scene.telegram.unblock(OMAR)
    await scene.hears("577215", OMAR, anew=False)
    await scene.settle()
    assert [len(_codes(scene, admin, "577215")) for admin in (ADA, BOB)] == [1, 1]


async def test_a_code_follows_its_group_into_the_supergroup(scene: Scene) -> None:
    scene.telegram.add_chat(BASIC, "Small", type="group", members=(ADA, OMAR))
    scene.telegram.add_bot_to_group(ADA, BASIC)
    await scene.hears("I work in", BASIC)
    scene.say(OMAR, "/order whatsapp indonesia", BASIC)
    await scene.hears("📱", BASIC)
    new = scene.telegram.migrate(BASIC)
    scene.telegram.updates.drop_all()  # the courier is the first to learn of it
    scene.sms.arrive(scene.remote_id, code="141421")
    code = await scene.hears("141421", new.id)
    assert LABEL not in code.text
    await scene.ask(OMAR, "/whoami", "operator", new.id)


async def test_markup_that_telegram_cannot_read_goes_out_plain(scene: Scene) -> None:
    await _post(scene, OMAR, "<b>5 &lt; 7 and <i>never</b> closed")
    message = await scene.hears("5 < 7 and never closed", OMAR)
    assert not [entity for entity in message.entities if entity["type"] in {"bold", "italic"}]


async def test_a_message_telegram_will_never_take_is_told_to_the_admins(scene: Scene) -> None:
    await _post(scene, OMAR, "x" * 5000)
    await _post(scene, 555_555, "into the void")
    await scene.hears("A message (text) could not be delivered: Message is too long", ADA)
    told = await scene.hears("A message (text) could not be delivered: Chat not found", ADA)
    assert "let them open a chat with me" in told.text
    await _post(scene, 555_555, "into the void again")
    await scene.settle()
    assert await scene.count("SELECT count(*) FROM outbox WHERE state = 'dead'") == 3
    assert len([said for said in scene.said_by_bot(ADA) if "could not be delivered" in said]) == 2
    tries = [call for call in scene.telegram.calls if call.method == "sendMessage" and "too long" in call.outcome]
    assert len(tries) == 3
    await scene.settle()
    assert "None" not in "".join(scene.said_by_bot(ADA))


async def test_an_unreachable_admin_starts_no_endless_chain(scene: Scene) -> None:
    order = await scene.order()
    scene.telegram.block(OMAR)
    scene.telegram.block(ADA)
    scene.sms.arrive(order.id, code="602214")
    await scene.settle(1.0)
    rows = await scene.count("SELECT count(*) FROM outbox")
    await scene.settle(0.5)
    assert await scene.count("SELECT count(*) FROM outbox") == rows < 12
    assert await scene.count("SELECT count(*) FROM sms WHERE code = '602214'") == 1


async def test_what_nobody_takes_for_a_day_is_laid_down_and_starts_nothing_new(scene: Scene) -> None:
    order = await scene.order()
    scene.telegram.block(OMAR)
    scene.telegram.block(ADA)
    scene.sms.arrive(order.id, code="602214")
    await scene.written("SELECT count(*) = 2 FROM outbox WHERE kind = 'code' AND error IS NOT NULL")
    scene.clock.jump(25 * 3600)
    await scene.written("SELECT count(*) = 2 FROM outbox WHERE kind = 'code' AND state = 'dead'")
    assert await scene.count('SELECT count(*) FROM outbox WHERE facts LIKE \'%"kind": "alert"%\'') == 0
    scene.telegram.unblock(ADA)
    await scene.hears("A message (card, order #1) could not be delivered", ADA)
    assert _codes(scene, ADA, "602214") == []


async def test_a_crash_between_claim_and_delivery_repeats_the_code_and_says_so(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        order = await before.order()
        before.telegram.fault(Fault(kind="silence_after", method="sendMessage", chat_id=OMAR))
        before.sms.arrive(order.id, code="299792")
        await before.hears("299792", OMAR)
        await before.crash()
        assert await before.count("SELECT count(*) FROM outbox WHERE state = 'sending' AND kind = 'code'") == 1
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.hears(LABEL, OMAR)
        await after.settle()
        codes = _codes(after, OMAR, "299792")
        assert [LABEL in message.text for message in codes] == [False, True]
        assert after.sms.order(order.id).live
        assert len(after.sms.books.charges) == 1


async def test_codes_pass_chatter_that_waits_and_keep_their_own_order(scene: Scene) -> None:
    order = await scene.order()
    scene.telegram.fault(Fault(kind="rate_limited", method="sendMessage", chat_id=OMAR, retry_after=20))
    for number in range(3):
        await _post(scene, OMAR, f"chatter {number}")
    await scene.until(lambda: bool(scene.telegram.plan.fired))
    first = scene.sms.arrive(order.id, code="100001")
    await scene.until(lambda: first.shown_at is not None)
    await scene.hears("chatter 2", OMAR)
    talk = [text.splitlines()[0] for text in scene.said_by_bot(OMAR)[-4:]]
    assert talk == ["🔑 100001", "chatter 0", "chatter 1", "chatter 2"]


async def test_a_group_full_of_chatter_does_not_hold_up_its_code(scene: Scene) -> None:
    """Twenty messages a minute is all that a group may get; a code must not queue behind answers."""
    scene.telegram.add_chat(BASIC, "Busy", type="group", members=(ADA, OMAR))
    scene.telegram.add_bot_to_group(ADA, BASIC)
    await scene.hears("I work in", BASIC)
    scene.say(OMAR, "/order whatsapp indonesia", BASIC)
    await scene.hears("📱", BASIC)
    people = [await scene.hire(8000 + number, f"Member {number}") for number in range(24)]
    scene.telegram.chats[BASIC].members |= dict.fromkeys(people, "member")
    for user_id in people:
        scene.telegram.say(user_id, "/whoami", BASIC)
    await scene.until(lambda: len(scene.said_by_bot(BASIC)) >= 12)
    sms = scene.sms.arrive(scene.remote_id, code="662607")
    code = await scene.hears("662607", BASIC)
    assert sms.shown_at is not None
    assert code.sent_at - sms.shown_at < 2.0 * SPEED


async def test_codes_are_on_their_way_as_soon_as_they_are_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a calm speed, so that what is measured is the desk and not the two worlds it shares the core with."""
    async with open_scene(tmp_path, clock=FastClock(CALM, NOON)) as scene:
        scene.sms.set_product("indonesia", "discord", 1000, 100)
        crowd = [await scene.hire(6000 + number, f"Member {number}") for number in range(25)]
        for user_id in crowd:
            scene.say(user_id, "/order discord indonesia")
        await asyncio.gather(*(scene.hears("📱", user_id, patience=20) for user_id in crowd))
        for order in scene.sms.live_orders():
            scene.sms.arrive(order.id)
            await asyncio.sleep(0.08)  # so that many polls see them, as in life
        await asyncio.gather(*(scene.hears("🔑", user_id) for user_id in crowd))
        delays = sorted(_delay(scene, user_id) for user_id in crowd)
    p50, p99 = delays[len(delays) // 2], delays[-1]
    with capsys.disabled():
        sys.stdout.write(f"\nfrom the poll that saw a code to its message: p50 {p50:.3f} s, p99 {p99:.3f} s\n")
    # A benchmark measures it (`make bench`); here it is only told from waiting for a timer.
    assert p99 < 10.0


async def test_codes_that_come_together_set_out_before_the_edits_of_their_cards(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        crowd = [await scene.hire(6000 + number, f"Member {number}") for number in range(6)]
        orders = [await scene.order("whatsapp id", user_id=user_id) for user_id in crowd]
        mark = len(scene.telegram.calls)
        for order in orders:
            scene.sms.arrive(order.id)
        for user_id in crowd:
            card = await scene.hears("📱", user_id, anew=False)
            await scene.until(partial(_says_the_code_is_here, card))
        methods = [call.method for call in scene.telegram.calls[mark:] if call.method != "getUpdates"]
    assert methods[:6] == ["sendMessage"] * 6
    assert methods[6:].count("editMessageText") == 6


def _says_the_code_is_here(card: Message) -> bool:
    return "The code is here" in card.text


async def test_a_code_that_hangs_at_telegram_holds_nobody_else_up(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    stuck, other = await scene.order(), await scene.order(user_id=BOB)
    scene.telegram.fault(Fault(kind=FaultKind.LATE, method="sendMessage", chat_id=OMAR, seconds=4.0))
    scene.sms.arrive(stuck.id)
    await scene.until(lambda: bool(scene.telegram.plan.fired))
    scene.say(BOB, "/cancel")
    await scene.hears("came back", BOB, patience=2.5)
    assert other.status == OrderStatus.CANCELLED


def _delay(scene: Scene, user_id: int) -> float:
    """Real seconds from the answer that showed a member's code to the call that carried it."""
    (call,) = [
        call
        for call in scene.telegram.calls
        if call.method == "sendMessage" and call.chat_id == user_id and "🔑" in call.params["text"]
    ]
    (shown_at,) = [
        sms.shown_at
        for sms in scene.sms.books.messages
        if sms.shown_at is not None and sms.code is not None and sms.code in call.params["text"]
    ]
    return (call.at - shown_at) / CALM


def _codes(scene: Scene, chat_id: int, code: str) -> list[Message]:
    return [message for message in scene.telegram.chats[chat_id].visible() if code in message.text]


async def _post(scene: Scene, chat_id: int, html: str) -> None:
    """Put an answer into the outbox, as happens to one that could not leave at once."""
    desk = scene.app.desk
    number = await scene.count("SELECT count(*) FROM outbox")
    notice = Notice(NoticeKind.TEXT, chat_id, f"answer:{number}", urgency=Urgency.TALK, facts={"html": html})
    await desk.transact(lambda connection: outbox.put(connection, notice, desk.now))
