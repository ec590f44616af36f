"""Groups: where the bot works, who decides that, and what it says where it does not."""

from pathlib import Path

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT
from tests.scene import Scene, open_scene

OTHER, FORUM, BASIC = -1001700000002, -1001700000003, -4007
BOB = 2003


async def test_a_group_works_once_an_admin_says_so_and_until_one_forgets_it(scene: Scene) -> None:
    scene.telegram.add_chat(OTHER, "Launch <b>", members=(ADA, OMAR, SAM), bot_status="member")
    scene.say(SAM, "/order whatsapp indonesia", OTHER)
    scene.say(OMAR, "/order@other_bot whatsapp indonesia", OTHER)
    scene.say(OMAR, "just talking", OTHER)
    await scene.settle()
    assert scene.said_by_bot(OTHER) == []

    await scene.ask(ADA, "/balance", "I do not work in this group yet", OTHER)
    await scene.settle()
    assert len(scene.said_by_bot(OTHER)) == 1
    assert not scene.sms.books.requests

    await scene.ask(ADA, "/CHATS@otpdesk_bot allow", "I work in “Launch <b>” now", OTHER)
    (line, *_) = await scene.audited("chat.allow")
    assert (line.actor_id, line.subject) == (ADA, OTHER)
    scene.say(SAM, "/order whatsapp indonesia", OTHER)
    scene.say(SAM, "/start", OTHER)
    await scene.settle()
    assert not scene.sms.books.requests

    said = scene.say(OMAR, "/order whatsapp indonesia", OTHER)
    await scene.hears("📱", OTHER)
    order = scene.sms.order(scene.remote_id)
    scene.sms.arrive(order.id, code="650912")
    code = await scene.hears("650912", OTHER)
    assert [entity["user"]["id"] for entity in code.entities if entity["type"] == "text_mention"] == [OMAR]
    assert said.message_id < code.message_id

    listed = await scene.ask(ADA, "/chats", "Where I work")
    assert sorted(listed.button_texts) == ["Leave “Launch <b>”", "Leave “QA team”"]
    scene.press(ADA, listed, "Leave “Launch <b>”")
    await scene.hears("I no longer work in “Launch <b>”", ADA)
    await scene.until(lambda: not scene.telegram.chats[OTHER].has(scene.telegram.bot.id))
    scene.telegram.set_member(OTHER, scene.telegram.bot.id, "member")
    scene.press(OMAR, code, "End")
    await scene.until(lambda: any(answer.user_id == OMAR for answer in scene.telegram.callback_answers))
    assert "do not work in this group" in scene.telegram.callback_answers[-1].text
    assert order.live


async def test_the_bot_says_one_line_in_a_group_nobody_allowed_and_leaves(scene: Scene) -> None:
    await scene.hire(BOB, "Bob", Role.APPROVER)
    for chat_id, by in ((OTHER, BOB), (OTHER - 10, SAM), (OTHER - 20, ADA)):
        scene.telegram.add_chat(chat_id, f"Group {chat_id}", members=(ADA, OMAR, BOB, SAM))
        scene.telegram.add_bot_to_group(by, chat_id)
    await scene.hears("I work in", OTHER - 20)
    for left in (OTHER, OTHER - 10):
        await scene.hears("I work only where an admin of my desk has put me", left)
        await scene.until(lambda left=left: not scene.telegram.chats[left].has(scene.telegram.bot.id))  # type: ignore[misc]
        assert len(scene.said_by_bot(left)) == 1
    assert await scene.count("SELECT count(*) FROM chats WHERE chat_id IN (?, ?)", OTHER, OTHER - 10) == 0

    scene.telegram.remove_bot(SAM, OTHER - 20)
    await scene.until(lambda: not scene.telegram.updates.pending)
    await scene.settle(0.1)
    assert await scene.count("SELECT count(*) FROM chats WHERE chat_id = ?", OTHER - 20) == 0
    (line,) = await scene.audited("chat.forget")
    assert (line.actor_id, line.subject) == (SAM, OTHER - 20)

    scene.telegram.add_chat(OTHER - 30, "Left over", members=(OMAR, SAM), bot_status="member")
    scene.say(SAM, "/whoami", OTHER - 30)
    await scene.settle(0.1)
    assert scene.said_by_bot(OTHER - 30) == []
    await scene.ask(OMAR, "/whoami", "so I leave this group", OTHER - 30)
    await scene.until(lambda: not scene.telegram.chats[OTHER - 30].has(scene.telegram.bot.id))


async def test_the_admins_own_chat_is_never_left(tmp_path: Path) -> None:
    async with open_scene(tmp_path, access={"owners": (ADA,), "admin_chat": OTHER}) as scene:
        scene.telegram.add_chat(OTHER, "Alerts", members=(ADA, OMAR))
        scene.telegram.add_bot_to_group(OMAR, OTHER)
        await scene.ask(OMAR, "/whoami", "I do not work in this group yet", OTHER)
        await scene.settle(0.1)
        assert scene.telegram.chats[OTHER].has(scene.telegram.bot.id)


async def test_answers_cards_and_codes_stay_in_their_topic(scene: Scene) -> None:
    scene.telegram.add_chat(FORUM, "Forum", members=(ADA, OMAR), creator=ADA, is_forum=True)
    scene.telegram.add_bot_to_group(ADA, FORUM)
    await scene.hears("I work in", FORUM, anew=False)
    topic = scene.telegram.add_topic(FORUM, "Codes", by=ADA)
    scene.say(OMAR, "/balance", FORUM, thread_id=topic)
    assert (await scene.hears("The account has", FORUM)).thread_id == topic
    scene.say(OMAR, "/order whatsapp indonesia", FORUM, thread_id=topic)
    card = await scene.hears("📱", FORUM)
    scene.sms.arrive(scene.remote_id, code="112358")
    code = await scene.hears("112358", FORUM)
    assert card.thread_id == code.thread_id == topic

    scene.press(OMAR, code, "End")
    asks = await scene.hears("already has its code", FORUM)
    scene.say(OMAR, "/order gibberish nowhere", FORUM, thread_id=topic)
    wrong = await scene.hears("I know no platform", FORUM)
    assert asks.thread_id == wrong.thread_id == topic


async def test_a_reply_to_somebody_elses_card_names_no_order_of_theirs(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    scene.telegram.add_chat(FORUM, "Team", members=(ADA, OMAR, BOB), creator=ADA)
    scene.telegram.add_bot_to_group(ADA, FORUM)
    await scene.hears("I work in", FORUM, anew=False)
    scene.say(OMAR, "/order whatsapp indonesia", FORUM)
    card = await scene.hears("📱", FORUM)
    scene.say(BOB, "/cancel", FORUM, reply_to=card.message_id)
    await scene.hears("You have no live order", FORUM)
    assert scene.sms.order(scene.remote_id).live
    scene.say(ADA, "/cancel", FORUM, reply_to=card.message_id)
    await scene.hears("#1 is canceled", FORUM)
    await scene.reconcile()


async def test_the_beginning_of_a_topic_is_not_taken_for_a_reply(scene: Scene) -> None:
    """Telegram quotes the message that opened the topic in everything said there."""
    await scene.hire(BOB, "Bob", Role.ADMIN)
    scene.telegram.add_chat(FORUM, "Forum", members=(ADA, OMAR, BOB), creator=ADA, is_forum=True)
    scene.telegram.add_bot_to_group(ADA, FORUM)
    await scene.hears("I work in", FORUM, anew=False)
    topic = scene.telegram.add_topic(FORUM, "Codes", by=BOB)
    for text in ("/revoke", "/role viewer", "/limit daily 5", "/allow viewer"):
        scene.say(ADA, text, FORUM, thread_id=topic, reply_to=topic)
        await scene.hears("Say who", FORUM)
    assert await scene.count("SELECT count(*) FROM members WHERE user_id = ? AND role = 'admin'", BOB) == 1
    assert await scene.count("SELECT count(*) FROM limits") == 0


async def test_a_group_that_becomes_a_supergroup_stays_allowed(scene: Scene) -> None:
    scene.telegram.add_chat(BASIC, "Small", type="group", members=(ADA, OMAR))
    scene.telegram.add_bot_to_group(ADA, BASIC)
    await scene.hears("I work in", BASIC)
    scene.say(OMAR, "/order whatsapp indonesia", BASIC)
    await scene.hears("📱", BASIC)
    order_id = scene.remote_id
    new = scene.telegram.migrate(BASIC)
    await scene.until(lambda: not scene.telegram.updates.pending)

    await scene.ask(OMAR, "/whoami", "operator", new.id)
    scene.sms.arrive(order_id, code="271828")
    await scene.hears("271828", new.id)
    assert await scene.count("SELECT count(*) FROM chats WHERE chat_id = ?", BASIC) == 0
    (line,) = await scene.audited("chat.move")
    assert (line.subject, line.detail) == (new.id, {"old": BASIC})


async def test_a_member_of_the_team_group_is_answered_as_a_reply(scene: Scene) -> None:
    said = scene.say(OMAR, "/whoami", TEAM_CHAT)
    answer = await scene.hears("operator", TEAM_CHAT)
    assert answer.body["reply_to_message"]["message_id"] == said.message_id
