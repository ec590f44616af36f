"""`/audit`: who used this number on Tuesday, and why, in one command."""

import re
import sqlite3

from bot.chat.audit_words import AUDIT_WORDS
from bot.sandbox.bot_api import ADA, OMAR
from storage import audit
from tests.house.source import modules, read
from tests.scene import Scene

SATURDAY = "Sat 14 Mar 2026"


async def test_one_command_tells_who_used_a_number_when_and_why(scene: Scene) -> None:
    order = await scene.order("whatsapp indonesia note=login test, build 214 <b>")
    scene.sms.arrive(order.id, "482913")
    await scene.hears("482913", OMAR)
    digits = order.phone_number.lstrip("+")
    spaced = f"+{digits[:2]} {digits[2:5]}-{digits[5:9]} ({digits[9:]})"
    for typed in (f"+{digits} saturday", f"sat {digits}", f"{spaced} 2026-03-14", f"00{digits}", "#1 today", "1"):
        page = await scene.ask(ADA, f"/audit {typed}", "Omar ordered #1")
        assert "whatsapp, indonesia" in page.text
        assert "login test, build 214 <b>" in page.text
        assert digits in page.text
        assert "I delivered a code of #1" in page.text
        assert "482913" not in page.text
    assert f"Audit · +{digits} · {SATURDAY}" in (await scene.ask(ADA, f"/audit {digits} sat", "Audit · +")).text
    await scene.ask(ADA, f"/audit +{digits} yesterday", "Nothing about that in the audit.")

    # As people in Indonesia write it, and without the zero.
    local = digits.removeprefix("62")
    for typed in (f"0{local[:3]}-{local[3:7]}-{local[7:]}", f"0{local} saturday", f"{local[:3]} {local[3:]}"):
        page = await scene.ask(ADA, f"/audit {typed}", "Omar ordered #1")
        assert digits in page.text
        found = await scene.ask(ADA, f"/history {typed.removesuffix(' saturday')}", "1 order,")
        assert digits in found.text.replace(" ", "").replace("-", "")
    await scene.ask(ADA, f"/audit +{local}", f"had the number +{local}, in any country")


async def test_a_person_a_day_a_reply_and_everything(scene: Scene) -> None:
    await scene.order()
    for typed in ("omar", "Omar today", str(OMAR), "week @omar"):
        page = await scene.ask(ADA, f"/audit {typed}", "Omar ordered #1")
        assert "Ada let in Omar" in page.text
    card = next(message for message in scene.telegram.chats[OMAR].visible() if "📱" in message.text)
    await scene.ask(ADA, f"/allow {OMAR} admin", "an admin now")
    scene.say(OMAR, "/audit", reply_to=card.message_id)
    await scene.hears("Audit · #1", OMAR)
    everything = await scene.ask(ADA, "/audit", "Omar ordered #1")
    assert "Sat 14 Mar 2026" in everything.text
    assert "Nothing about that" in (await scene.ask(ADA, "/audit 2026-03-13", "Audit · Fri 13 Mar 2026")).text
    await scene.ask(ADA, f"/limit {OMAR} daily 200000", "per day at most")
    limits = await scene.ask(ADA, "/audit ada today", "Ada set a limit of Omar")
    assert "amount 200000, limit daily" in limits.text


async def test_a_long_audit_is_turned_over_by_buttons_and_turns_back(scene: Scene) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number in range(30):
            audit.write(connection, scene.app.desk.now, ADA, "desk.pause", reason=f"reason {number:02}")

    await scene.app.desk.transact(fill)
    first = await scene.ask(ADA, "/audit ada", "reason 29")
    seen = re.findall(r"reason \d\d", first.text)
    page = first
    while "Older" in page.button_texts:
        before = page.text
        scene.press(ADA, page, "Older")
        await scene.until(lambda: scene.telegram.chats[ADA].messages[first.message_id].text != before)  # noqa: B023
        page = scene.telegram.chats[ADA].messages[first.message_id]
        seen += re.findall(r"reason \d\d", page.text)
    assert seen == [f"reason {number:02}" for number in range(29, -1, -1)]
    scene.press(ADA, page, "Newest")
    await scene.until(lambda: "reason 29" in scene.telegram.chats[ADA].messages[first.message_id].text)
    assert len([said for said in scene.said_by_bot(ADA) if "Audit" in said]) == 1


async def test_wrong_questions_lead_to_right_ones_and_nobody_else_may_ask(scene: Scene) -> None:
    wrong = {
        "omer": "Did you mean Omar?",
        "#99": "#99",
        "+6281200000000": "No order of this desk had the number +6281200000000",
        "nobody at all": "I know no member, order, number or day",
        "2026-02-31": "“2026-02-31” is not in the calendar",
        "x" * 1001: "That is too long",
    }
    for typed, answer in wrong.items():
        await scene.ask(ADA, f"/audit {typed}", answer)
    corrected = await scene.ask(ADA, "/audit omer today", "Did you mean Omar?")
    scene.press(ADA, corrected, "/audit Omar today")
    await scene.hears("Ada let in Omar", ADA)
    await scene.ask(OMAR, "/audit", "needs the role admin")
    page = await scene.ask(ADA, "/audit ada", "Audit · Ada")
    assert page.button_texts == []


def test_everything_the_desk_writes_into_its_audit_has_words() -> None:
    kinds = "|".join(sorted({word.partition(".")[0] for word in AUDIT_WORDS}))
    word = re.compile(rf'"((?:{kinds})\.[a-z_]+)"')
    places = [path for path in modules() if path.parts[:2] in (("bot", "services"), ("bot", "workers"))]
    written = {action for path in places for action in word.findall(read(path))}
    assert {"order.place", "member.allow", "report.export", "approval.approve"} <= written
    assert written - AUDIT_WORDS.keys() == set()
