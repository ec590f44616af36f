"""`/history`: who used which number when and why; `/orders`: what lives, with what may be done with it."""

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, Fault, FaultKind
from tests.scene import Scene

VERA = 2003
DAY = 24 * 3600


async def test_a_number_is_found_with_who_used_it_and_why(scene: Scene) -> None:
    first = await scene.order("whatsapp indonesia note=50%_off test")
    scene.sms.arrive(first.id, code="847291")
    await scene.hears("847291", OMAR)
    second = await scene.order("telegram vietnam note=login <b>")
    scene.say(OMAR, "/cancel 2")
    await scene.hears("#2 is canceled", OMAR)

    week = await scene.ask(OMAR, "/history", "2 orders, Rp 4.200 spent")
    assert week.text.index("#2 ·") < week.text.index("#1 ·")
    assert "canceled, Rp 4.850 came back" in week.text
    assert "847291" not in week.text
    for typed in ("50%_off", "indones", "whatsapp", first.phone_number, first.phone_number[3:9], "#1", "day 50%"):
        found = await scene.ask(OMAR, f"/history {typed}", "1 order,")
        assert first.phone_number in found.text, typed
        assert second.phone_number not in found.text, typed
    for typed in ("off_test", "yesterday", "2026-01", "Ada"):
        await scene.ask(OMAR, f"/history {typed}", "No orders.")
    by_person = await scene.ask(ADA, "/history omar", "2 orders,")
    scene.say(ADA, "login <B>", reply_to=by_person.message_id)
    found = await scene.hears("1 order,", ADA)
    assert "Omar · login <b>" in found.text
    assert "telegram · vietnam" in found.text

    scene.clock.jump(DAY)
    yesterday = await scene.ask(OMAR, "/history yesterday", "2 orders,")
    assert "yesterday 12:0" in yesterday.text


async def test_pages_and_spans_turn_in_place_and_each_sees_what_is_theirs(scene: Scene) -> None:
    await scene.hire(VERA, "Vera", Role.VIEWER)
    for number in range(1, 8):
        await scene.order(f"whatsapp indonesia note=n{number}")
        scene.say(OMAR, f"/cancel {number}")
        await scene.hears(f"#{number} is canceled", OMAR)
    await scene.ask(VERA, "/history", "No orders.")
    page = await scene.ask(OMAR, "/history", "7 orders, Rp 0 spent")
    assert "page 1 of 2" in page.text
    scene.press(OMAR, page, "Page 2 ▸")
    await scene.until(lambda: "page 2 of 2" in page.text)
    assert "#2 ·" in page.text
    assert "#3 ·" not in page.text
    scene.press(OMAR, page, "◂ Page 1")
    await scene.until(lambda: "page 1 of 2" in page.text)
    # A page that Telegram asks to wait for comes a moment later, in its place.
    scene.telegram.fault(Fault(kind=FaultKind.RATE_LIMITED, method="editMessageText", retry_after=2))
    heard = len(scene.said_by_bot(OMAR))
    scene.press(OMAR, page, "Today")
    await scene.until(lambda: page.text.startswith("14 Mar 2026 · page 1 of 2"))
    scene.press(OMAR, page, "◂ Earlier")
    await scene.until(lambda: "13 Mar 2026\nNo orders." in page.text)
    assert len(scene.said_by_bot(OMAR)) == heard

    scene.say(ADA, "/order telegram indonesia note=here", TEAM_CHAT)
    await scene.hears("📱", TEAM_CHAT)
    shown = await scene.ask(ADA, "/history", "1 order,", TEAM_CHAT)
    assert "Ada · here" in shown.text
    await scene.ask(OMAR, "/history", "No orders.", TEAM_CHAT)
    await scene.ask(ADA, "/history", "8 orders,")


async def test_live_orders_are_listed_with_what_may_be_done_with_each(scene: Scene) -> None:
    first = await scene.order()
    await scene.order("whatsapp vietnam")
    scene.sms.arrive(first.id, code="847291")
    await scene.hears("847291", OMAR)
    listed = await scene.ask(OMAR, "/orders", "#2 ·")
    assert listed.button_texts == ["Copy #2", "Cancel #2", "Copy #1", "New number #1", "End #1"]
    scene.press(OMAR, listed, "End #1")
    await scene.hears("nothing comes back", OMAR)
    await scene.ask(ADA, f"/role {OMAR} viewer", "is a viewer now")
    await scene.hears("You are a viewer here now", OMAR)
    assert (await scene.ask(OMAR, "/orders", "#2 ·")).button_texts == []


async def test_a_group_lists_its_own_orders_and_tells_each_how_many_of_theirs_are_elsewhere(scene: Scene) -> None:
    await scene.order("whatsapp indonesia note=private")
    empty = await scene.ask(OMAR, "/orders", "No live orders here", TEAM_CHAT)
    assert "1 more elsewhere; /orders in our private chat shows all." in empty.text
    scene.say(ADA, "/order whatsapp vietnam note=here", TEAM_CHAT)
    await scene.hears("📱", TEAM_CHAT)
    listed = await scene.ask(ADA, "/orders", "#2 ·", TEAM_CHAT)
    assert "#1 ·" not in listed.text
    assert "1 more elsewhere" in listed.text
    assert listed.button_texts == ["Copy #2", "Cancel #2"]
    # Omar sees nothing of Ada's order, so it is no more "elsewhere" for him than his own one is.
    theirs = await scene.ask(OMAR, "/orders", "1 more elsewhere", TEAM_CHAT)
    assert "#2" not in theirs.text
    everything = await scene.ask(ADA, "/orders", "#2 ·")
    assert "#1 ·" in everything.text
    assert "elsewhere" not in everything.text
