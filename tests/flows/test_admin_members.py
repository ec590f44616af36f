"""The allowlist, kept from the chat: who is meant, what is refused, and the audit line behind each change."""

from typing import Any

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT
from tests.scene import Scene

BOB, EVA, ALSO_OMAR = 2003, 2004, 2005


async def test_a_member_is_named_by_id_by_name_or_by_a_reply(scene: Scene) -> None:
    scene.telegram.add_user(BOB, "Bob", last_name="O'Neil <b>")
    scene.say(BOB, "/start")
    await scene.hears("team only", BOB)
    hint = "must open a private chat with me and press Start first"
    assert hint not in (await scene.ask(ADA, f"/allow {BOB}", "is an operator now")).text
    assert scene.said_by_bot(ADA)[-1].startswith("Bob O'Neil <b> is")
    await scene.hears("You are in", BOB)
    await scene.ask(ADA, f"/allow {EVA} viewer", hint)
    await scene.ask(ADA, "/users", f"member {EVA}")

    await scene.ask(ADA, "/role bob o'neil <B> viewer", "is a viewer now")
    await scene.ask(BOB, "/order whatsapp indonesia", "needs the role operator")
    sams = scene.telegram.say(SAM, "/hello", TEAM_CHAT)
    scene.say(ADA, "/allow op", TEAM_CHAT, reply_to=sams.message_id)
    await scene.hears("Sam is an operator now", TEAM_CHAT)
    scene.say(ADA, "/role approver", TEAM_CHAT, reply_to=sams.message_id)
    await scene.hears("Sam is an approver now", TEAM_CHAT)
    scene.say(ADA, "/revoke", TEAM_CHAT, reply_to=sams.message_id)
    await scene.hears("Sam is off the list", TEAM_CHAT)
    await scene.ask(ADA, f"/revoke {BOB}", "is off the list")

    changes = [(line.action, line.subject, line.actor_id, dict(line.detail)) for line in await _member_lines(scene)]
    assert changes == [
        ("member.allow", OMAR, ADA, {"role": "operator"}),
        ("member.allow", BOB, ADA, {"role": "operator"}),
        ("member.allow", EVA, ADA, {"role": "viewer"}),
        ("member.role", BOB, ADA, {"role": "viewer"}),
        ("member.allow", SAM, ADA, {"role": "operator"}),
        ("member.role", SAM, ADA, {"role": "approver"}),
        ("member.revoke", SAM, ADA, {}),
        ("member.revoke", BOB, ADA, {}),
    ]


async def test_what_cannot_be_meant_is_refused_and_changes_nothing(scene: Scene) -> None:
    await scene.hire(ALSO_OMAR, "Omar")
    lines = await _member_lines(scene)
    say_who = (
        "",
        "0",
        "-5",
        "1e3",
        "１００３",
        "99999999999999999999999",
        "@sam_elsewhere",
        "nobody at all",
        "<b>",
        "'--",
    )
    for command in ("allow", "revoke", "role", "limit"):
        # Alone, these two let an admin choose.
        for argument in say_who[1:] if command == "allow" else say_who[command == "limit" : 3]:
            await scene.ask(ADA, f"/{command} {argument}".strip(), "Say who")
    for role in ("boss", "a", "owner", "админ"):
        await scene.ask(ADA, f"/allow {SAM} {role}", "is no role")
    await scene.ask(ADA, f"/role {OMAR}", "Say which role")
    await scene.ask(ADA, "/revoke Omar", "there are 2 people by that name".capitalize())
    await scene.ask(ADA, f"/revoke {SAM}", f"{SAM} is not on the list")
    await scene.ask(ADA, f"/role {SAM} viewer", f"{SAM} is not on the list")
    assert await _member_lines(scene) == lines


async def test_words_that_are_too_many_swapped_or_misspelt_lead_to_a_button(scene: Scene) -> None:
    lines = await _member_lines(scene)
    meant = {
        f"/revoke {OMAR} {SAM}": f"/revoke {OMAR}",
        "/revoke Omr": "/revoke Omar",
        f"/role viewer {OMAR}": f"/role {OMAR} viewer",
        f"/role {OMAR} viewer please": f"/role {OMAR} viewer",
        "/role omarr viewer": "/role Omar viewer",
        f"/allow admin {SAM}": f"/allow {SAM} admin",
        f"/allow {SAM} operator now": f"/allow {SAM} operator",
        f"/usage {OMAR} {SAM}": f"/usage {OMAR}",
    }
    answers = [await scene.ask(ADA, typed, "Did you mean") for typed in meant]
    assert [answer.button_texts[0] for answer in answers] == list(meant.values())
    assert await _member_lines(scene) == lines
    scene.press(ADA, answers[2], f"/role {OMAR} viewer")
    await scene.hears("Omar is a viewer now", ADA)


async def test_a_reply_means_the_author_and_nobody_who_passed_it_on(scene: Scene) -> None:
    bob = await scene.hire(BOB, "Bob", Role.ADMIN)
    scene.telegram.join(bob, TEAM_CHAT)
    at = int(scene.clock.now())
    hidden = {"type": "hidden_user", "sender_user_name": "Ghost", "date": at}
    channel = {"type": "channel", "chat": {"id": -1009, "type": "channel", "title": "N"}, "message_id": 4, "date": at}
    for origin in (hidden, channel):
        passed_on = scene.telegram.say(bob, "look at this", TEAM_CHAT, forward_origin=origin)
        scene.say(ADA, "/revoke", TEAM_CHAT, reply_to=passed_on.message_id)
        await scene.hears("Say who", TEAM_CHAT)
    passed_on = scene.telegram.say(bob, "he wants in", TEAM_CHAT, forward_origin=SAM)
    scene.say(ADA, "/allow viewer", TEAM_CHAT, reply_to=passed_on.message_id)
    await scene.hears("Sam is a viewer now", TEAM_CHAT)
    anonymous = scene.telegram.say(bob, "/psst", TEAM_CHAT, sender_chat=TEAM_CHAT)
    scene.say(ADA, "/revoke", TEAM_CHAT, reply_to=anonymous.message_id)
    await scene.hears("Say who", TEAM_CHAT)
    assert await scene.count("SELECT count(*) FROM members WHERE user_id = ? AND role = 'admin'", bob) == 1


async def test_the_owner_and_the_last_admin_cannot_be_taken_away(scene: Scene) -> None:
    for text in (f"/revoke {ADA}", f"/role {ADA} viewer", f"/allow {ADA} operator"):
        await scene.ask(ADA, text, "is an owner; owners are named in the configuration")
    bob = await scene.hire(BOB, "Bob", Role.ADMIN)
    await scene.ask(bob, f"/revoke {ADA}", "is an owner")
    await scene.ask(bob, f"/role {bob} viewer", "Bob is a viewer now")
    await scene.ask(ADA, "/whoami", "owner")


async def test_the_last_admin_is_kept_even_if_they_are_no_owner(scene: Scene) -> None:
    await scene.app.desk.database.transact(lambda connection: connection.execute("UPDATE members SET owner = 0"))
    await scene.ask(ADA, f"/revoke {ADA}", "is the last admin")
    await scene.ask(ADA, f"/role {ADA} approver", "is the last admin")
    await scene.ask(ADA, f"/role {OMAR} admin", "Omar is an admin now")
    await scene.ask(ADA, f"/revoke {ADA}", "Ada is off the list")
    await scene.ask(OMAR, f"/revoke {OMAR}", "is the last admin")


async def test_a_pause_stops_everyone_and_says_why(scene: Scene) -> None:
    order = await scene.order()
    await scene.ask(ADA, "/resume", "New orders were not stopped")
    await scene.ask(ADA, "/pause audit <week> & rest", "audit <week> & rest")
    await scene.ask(OMAR, "/order whatsapp indonesia", "New orders are paused: audit <week> & rest")
    await scene.ask(ADA, "/order whatsapp indonesia", "New orders are paused")
    await scene.ask(ADA, "/users", "Orders are paused: audit <week> & rest")
    scene.sms.arrive(order.id, code="808080")
    await scene.hears("808080", OMAR)
    await scene.ask(ADA, "/resume", "New orders are open again")
    await scene.ask(ADA, "/pause " + "x" * 3900, "too long for a command")
    await scene.order()
    await scene.ask(ADA, "/pause", "New orders are stopped for everyone.")
    await scene.ask(ADA, "/resume", "New orders are open again")
    assert [(line.actor_id, line.detail.get("reason")) for line in await scene.audited("desk.pause")] == [
        (ADA, "stopped by Ada"),
        (ADA, "audit <week> & rest"),
    ]
    assert len(await scene.audited("desk.resume")) == 2
    assert len(scene.sms.books.charges) == 2


async def test_a_hundred_members_with_long_names_still_fit_a_message(scene: Scene) -> None:
    for number in range(100):
        await scene.hire(7000 + number, "🧑‍💻" * 12 + f" Number {number} " + "x" * 80)
    page = await scene.ask(ADA, "/users", "more")
    shown = page.text.count("operator")
    assert 10 < shown < 101
    assert f"… and {102 - shown - 1} more" in page.text


async def _member_lines(scene: Scene) -> list[Any]:
    lines = [*await scene.audited("member.allow"), *await scene.audited("member.role")]
    return sorted([*lines, *await scene.audited("member.revoke")], key=lambda line: line.id)
