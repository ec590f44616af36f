"""Letting people in: by request, by Telegram's picker, by a contact; each is greeted with what they can do."""

from pathlib import Path

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT
from tests.scene import Scene, open_scene

BOB, EVA, ZOE = 2003, 2004, 2005
PICKER = 1


async def test_a_request_brings_first_words_and_a_choice_of_roles(scene: Scene) -> None:
    scene.telegram.say(SAM, "/start")
    scene.telegram.say(SAM, "Hi, I am Sam <QA> from payments")
    notice = await scene.hears("Write who you are", SAM)
    scene.telegram.say(SAM, "and these words come too late")
    await scene.ask(ADA, "/requests", "Nobody waits")
    await scene.settle()
    scene.press(SAM, notice, "Ask for access")
    wanted = await scene.hears("Sam (1003) asks to come in", ADA, anew=False)
    assert "First words: Hi, I am Sam <QA> from payments" in wanted.text
    assert wanted.button_texts == [
        "Let in as operator",
        "Let in as viewer",
        "Let in as approver",
        "Let in as admin",
        "Refuse",
    ]
    listed = await scene.ask(ADA, "/requests", "“Hi, I am Sam <QA> from payments”")
    assert listed.button_texts == ["Sam: operator", "viewer", "Refuse"]
    await scene.ask(OMAR, "/requests", "needs the role admin")

    scene.press(ADA, listed, "viewer")
    greeting = await scene.hears("You are in. Hello Sam, you are a viewer here", SAM)
    assert "Your limits" not in greeting.text
    await scene.ask(ADA, "/requests", "Nobody waits")
    # The other keyboard is old by now: the role that was given stands.
    scene.press(ADA, wanted, "Let in as admin")
    await scene.hears("is in already, as a viewer", ADA)
    await scene.ask(ADA, f"/role {SAM} operator", "is an operator now")
    await scene.ask(SAM, "/start", "Your limits: Rp 20.000 an order, Rp 100.000 a day")


async def test_the_picker_and_a_contact_ask_as_what(scene: Scene) -> None:
    scene.telegram.add_user(BOB, "Bob", last_name="O'Neil <b>")
    for user_id, name in ((EVA, "Eva"), (ZOE, "Zoe")):
        scene.telegram.add_user(user_id, name)
    await scene.ask(ADA, "/allow", "Whom shall I let in?")
    scene.marks[ADA] = scene.telegram.share_users(ADA, PICKER, [BOB, OMAR]).message_id
    await scene.hears("Chosen: Bob O'Neil <b>, Omar", ADA)
    assert scene.telegram.chats[ADA].keyboard is None
    question = await scene.hears("Let Bob O'Neil <b> (2003) in, and as what?", ADA)
    await scene.hears("Omar is in already, as an operator", ADA)
    scene.press(ADA, question, "Let in as approver")
    await scene.hears("Bob O'Neil <b> is an approver now", ADA)
    hint = await scene.hears("must open a private chat with me", ADA)
    assert "Bob" in hint.text
    scene.say(BOB, "/start")
    await scene.hears("Hello Bob O'Neil <b>, you are an approver here", BOB)

    scene.marks[ADA] = scene.telegram.send_contact(ADA, "+15550001", of=EVA).message_id
    question = await scene.hears("Let Eva (2004) in", ADA)
    scene.press(ADA, question, "Refuse")
    await scene.hears("Not let in", ADA)
    scene.marks[ADA] = scene.telegram.send_contact(ADA, "+15550002", outsider="Nobody").message_id
    await scene.hears("Send me a contact who uses Telegram", ADA)

    # Neither a contact nor a forged answer of the picker does anything for somebody who is no admin.
    scene.marks[OMAR] = scene.telegram.send_contact(OMAR, "+15550003", of=ZOE).message_id
    await scene.hears("needs the role admin", OMAR)
    shared = {"request_id": PICKER, "users": [{"user_id": ZOE, "first_name": "Zoe"}]}
    chat = {"id": OMAR, "type": "private"}
    sender = scene.telegram.users[OMAR].as_json()
    forged = {"message_id": 9_999_999, "from": sender, "chat": chat, "date": 1, "users_shared": shared}
    scene.telegram.push_update({"message": forged})
    await scene.until(lambda: sum("needs the role admin" in text for text in scene.said_by_bot(OMAR)) == 2)
    assert await scene.count("SELECT count(*) FROM members WHERE user_id IN (?, ?)", EVA, ZOE) == 0

    scene.say(ADA, "/allow", TEAM_CHAT)
    await scene.hears("Say who", TEAM_CHAT)


async def test_a_role_changes_what_the_next_press_of_an_old_keyboard_does(scene: Scene) -> None:
    scene.telegram.add_user(EVA, "Eva")
    bob = await scene.hire(BOB, "Bob", Role.ADMIN)
    scene.marks[bob] = scene.telegram.send_contact(bob, "+15550001", of=EVA).message_id
    question = await scene.hears("Let Eva (2004) in", bob)
    query = scene.telegram.press(
        OMAR, bob, question.message_id, question.button("Refuse")["callback_data"], forged=True
    )
    await scene.until(lambda: any(answer.query_id == query.id for answer in scene.telegram.callback_answers))
    assert "This button is Bob's" in scene.telegram.callback_answers[-1].text
    await scene.ask(ADA, f"/role {bob} approver", "is an approver now")
    query = scene.telegram.press(bob, bob, question.message_id, "Let in as admin")
    await scene.until(lambda: any(answer.query_id == query.id for answer in scene.telegram.callback_answers))
    assert "needs the role admin" in scene.telegram.callback_answers[-1].text
    await scene.ask(ADA, f"/role {bob} admin", "is an admin now")
    scene.press(bob, question, "Let in as operator")
    await scene.hears("Eva is an operator now", bob)
    await scene.ask(ADA, f"/revoke {bob}", "is off the list")
    scene.say(bob, f"/allow {ZOE} admin")
    await scene.hears("team only", bob)
    assert await scene.count("SELECT count(*) FROM members WHERE user_id = ?", ZOE) == 0


async def test_the_greeting_says_from_which_price_on_somebody_else_decides(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"approve_above": 9000}) as scene:
        await scene.ask(SAM, "/start", "team only")
        await scene.ask(ADA, f"/allow {SAM} operator", "is an operator now")
        greeting = await scene.hears("You are in", SAM)
        assert "Above Rp 9.000 an order needs somebody else's yes." in greeting.text
        assert "/approvals" not in greeting.text
        await scene.ask(ADA, f"/role {SAM} approver", "is an approver now")
        await scene.ask(SAM, "/start", "You may give that yes to others: /approvals.")


async def test_a_member_hears_of_a_new_role_once_and_of_the_same_one_never(scene: Scene) -> None:
    await scene.ask(ADA, f"/role {OMAR} viewer", "Omar is a viewer now")
    told = await scene.hears("You are a viewer here now. You can look at the catalog", OMAR)
    assert "Your limits" not in told.text
    await scene.ask(ADA, f"/allow {OMAR} approver", "Omar is an approver now")
    told = await scene.hears("You are an approver here now. You can order numbers, and answer", OMAR)
    assert "Your limits: Rp 20.000 an order" in told.text
    assert not any("You are in. Hello" in text for text in scene.said_by_bot(OMAR)[-2:])

    heard = len(scene.said_by_bot(OMAR))
    for text in (f"/role {OMAR} approver", f"/allow {OMAR} approver"):
        await scene.ask(ADA, text, "Omar is an approver already.")
    await scene.ask(ADA, f"/allow {OMAR}", "Omar is in already, as an approver")
    await scene.settle()
    assert len(scene.said_by_bot(OMAR)) == heard

    # Whoever changes their own role reads it in the answer.
    await scene.ask(ADA, f"/role {OMAR} admin", "Omar is an admin now")
    await scene.hears("You are an admin here now", OMAR)
    await scene.ask(OMAR, f"/role {OMAR} operator", "Omar is an operator now")
    await scene.settle()
    assert not any("You are an operator here now" in text for text in scene.said_by_bot(OMAR))

    scene.telegram.block(OMAR)
    await scene.ask(ADA, f"/role {OMAR} viewer", "I could not write to them")
