"""Whoever is not on the list: one notice, one way to ask, and nothing else at all."""

import asyncio
import time

from bot.sandbox.bot_api import ADA, OMAR, SAM, Message
from tests.scene import Scene

DAY = 24 * 3600
IMPOSTOR, MALLORY, BOB = 2001, 2002, 2003


async def test_a_stranger_hears_one_notice_a_day_and_costs_nothing(scene: Scene) -> None:
    scene.say(SAM, "/order whatsapp indonesia")
    notice = await scene.hears("team only", SAM)
    assert notice.entity_texts("code") == [str(SAM)]
    assert notice.button_texts == ["Ask for access"]
    for text in ("/start", "/help", "/balance", "/allow 1003 admin"):
        scene.say(SAM, text)
    await scene.settle()
    assert len(scene.said_by_bot(SAM)) == 1

    scene.clock.jump(DAY - 3600)
    scene.say(SAM, "/start")
    await scene.settle()
    assert len(scene.said_by_bot(SAM)) == 1

    scene.clock.jump(2 * 3600)
    scene.say(SAM, "hello?")
    await scene.hears("team only", SAM)
    assert len(scene.said_by_bot(SAM)) == 2
    assert not scene.sms.books.requests


async def test_a_flood_of_a_stranger_fills_nothing_and_delays_nobody(scene: Scene) -> None:
    before = await scene.count("SELECT count(*) FROM inbox")
    calls = len(scene.telegram.calls)
    for number in range(1000):
        scene.telegram.say(SAM, f"/order whatsapp indonesia note={number}")
    asked_at = time.monotonic()
    await scene.ask(OMAR, "/whoami", "operator")
    assert time.monotonic() - asked_at < 3
    await scene.until(lambda: not scene.telegram.updates.pending)
    await scene.settle()

    rows = await scene.count("SELECT count(*) FROM inbox") - before
    assert 1 < rows <= 6, "a few of the stranger's, and the member's own"
    assert len(scene.said_by_bot(SAM)) == 1
    sent = [call for call in scene.telegram.calls[calls:] if call.method == "sendMessage"]
    assert len(sent) == 2
    assert await scene.count("SELECT count(*) FROM access_requests") == 1
    assert not scene.sms.books.requests


async def test_asking_for_access_reaches_the_admins_once_and_their_button_lets_in(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    await scene.ask(ADA, f"/role {BOB} admin", "is an admin now")
    scene.telegram.add_user(MALLORY, "Mallory")
    scene.say(MALLORY, "/start")
    await scene.hears("team only", MALLORY)
    scene.say(SAM, "/start")
    notice = await scene.hears("team only", SAM)
    data = notice.button("Ask for access")["callback_data"]

    stolen = scene.telegram.press(MALLORY, MALLORY, notice.message_id, data, forged=True)
    scene.press(SAM, notice, "Ask for access")
    wanted = await scene.hears("Sam (1003) asks to come in", ADA, anew=False)
    await scene.hears("Sam (1003) asks to come in", BOB, anew=False)
    scene.press(SAM, notice, "Ask for access")
    await scene.until(lambda: len(scene.telegram.callback_answers) == 2)
    first, second = scene.telegram.callback_answers
    assert "The admins know" in first.text
    assert first.show_alert
    assert "asked already" in second.text
    assert not stolen.answered
    assert await scene.count("SELECT count(*) FROM access_requests WHERE asked_at IS NOT NULL") == 1
    assert _alerts(scene, ADA) == _alerts(scene, BOB) == 1

    scene.press(ADA, wanted, "Let in as operator")
    await scene.hears("You are in", SAM)
    await scene.hears("Sam is an operator now", ADA)
    assert not scene.telegram.chats[ADA].messages[wanted.message_id].buttons
    (line,) = [line for line in await scene.audited("member.allow") if line.subject == SAM]
    assert (line.actor_id, line.detail) == (ADA, {"role": "operator"})
    await scene.ask(SAM, "/whoami", "operator")


async def test_the_second_admin_to_press_does_not_overrule_the_first(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    await scene.ask(ADA, f"/role {BOB} admin", "is an admin now")
    scene.press(SAM, await _notice(scene), "Ask for access")
    for_ada = await scene.hears("asks to come in", ADA, anew=False)
    for_bob = await scene.hears("asks to come in", BOB, anew=False)
    scene.press(ADA, for_ada, "Let in as operator")
    await scene.hears("is an operator now", ADA)

    scene.press(BOB, for_bob, "Let in as viewer")
    await scene.hears("is in already, as an operator", BOB)
    assert await scene.count("SELECT count(*) FROM members WHERE user_id = ? AND role = 'operator'", SAM) == 1


async def test_a_refusal_closes_the_request_and_is_told_once(scene: Scene) -> None:
    scene.press(SAM, await _notice(scene), "Ask for access")
    wanted = await scene.hears("asks to come in", ADA, anew=False)
    listed = await scene.ask(ADA, "/requests", "Sam · 1003 · since")
    scene.press(ADA, wanted, "Refuse")
    await scene.hears("Not let in. They were told so", ADA)
    await scene.hears("Thank you for asking. The admins have decided not to let you in", SAM)
    # Another admin, or the same one on another keyboard, refuses nobody twice.
    scene.press(ADA, listed, "Refuse")
    await scene.hears("Not let in. They are not told", ADA)
    scene.say(SAM, "Why?")
    await scene.ask(ADA, "/requests", "Nobody waits")
    (line,) = await scene.audited("access.refuse")
    assert (line.actor_id, line.subject) == (ADA, SAM)
    await scene.settle()
    assert len(scene.said_by_bot(SAM)) == 2
    await scene.ask(ADA, "/users", "Omar")
    assert "Sam" not in scene.said_by_bot(ADA)[-1]


async def test_a_name_and_a_username_open_nothing(scene: Scene) -> None:
    scene.telegram.users[OMAR].username = None
    scene.telegram.add_user(IMPOSTOR, "Omar", "omar_qa")
    scene.say(IMPOSTOR, "/order whatsapp indonesia")
    await scene.hears("team only", IMPOSTOR)
    assert not scene.sms.books.requests
    await scene.ask(OMAR, "/whoami", "operator")


async def test_a_revoked_member_is_a_stranger_at_the_next_word_and_the_next_press(scene: Scene) -> None:
    order = await scene.order()
    card = await scene.hears(order.phone_number, OMAR, anew=False)
    await scene.ask(ADA, f"/revoke {OMAR}", "is off the list")
    requests = _writes(scene)

    scene.press(OMAR, card, "Cancel and refund")
    scene.say(OMAR, "/cancel")
    await scene.hears("team only", OMAR)
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.settle()
    assert _writes(scene) == requests
    assert order.live
    assert scene.telegram.menu_for(OMAR, OMAR) == [{"command": "start", "description": "say hello"}]

    scene.sms.arrive(order.id, code="314159")
    await scene.hears("they are not on the list any more", ADA, anew=False)
    await scene.hears("314159", ADA, anew=False)
    await scene.settle()
    assert not any("314159" in text for text in scene.said_by_bot(OMAR))

    await scene.ask(ADA, f"/allow {OMAR} operator", "is an operator now")
    scene.clock.jump(60)
    await scene.hears("314159", OMAR)
    assert sum("314159" in text for text in scene.said_by_bot(ADA)) == 1


async def test_many_strangers_at_once_leave_the_team_its_answers(scene: Scene) -> None:
    crowd = range(5000, 5150)
    for user_id in crowd:
        scene.telegram.add_user(user_id, f"Stranger {user_id}")
        scene.telegram.say(user_id, "/start")
    started = time.monotonic()
    await scene.ask(OMAR, "/whoami", "operator")
    assert time.monotonic() - started < 5
    async with asyncio.timeout(15):
        for user_id in crowd:
            await scene.hears("team only", user_id, anew=False, patience=15)
    assert all(len(scene.said_by_bot(user_id)) == 1 for user_id in crowd)
    assert not scene.sms.books.requests


async def _notice(scene: Scene) -> Message:
    scene.say(SAM, "/start")
    return await scene.hears("team only", SAM)


def _alerts(scene: Scene, admin: int) -> int:
    return sum("asks to come in" in text for text in scene.said_by_bot(admin))


def _writes(scene: Scene) -> int:
    return sum(number for (method, _), number in scene.sms.books.requests.items() if method == "POST")
