"""Choosing by buttons: three taps to a number, pages, names typed in reply, and a price that nobody pays unasked."""

from pathlib import Path

import pytest

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, Fault, FaultKind, Message
from tests.scene import Scene, open_scene

VERA = 2003
CREATE = ("POST", "/v1/orders")


async def turned(scene: Scene, message: Message, wanted: str) -> None:
    """Wait until a page shows something else, in place."""
    await scene.until(lambda: wanted in message.text)


async def test_three_taps_lead_from_the_bare_command_to_a_number(scene: Scene) -> None:
    page = await scene.ask(OMAR, "/order", "Platforms")
    assert "whatsapp · from Rp 4.200" in page.text
    scene.press(OMAR, page, "whatsapp")
    await turned(scene, page, "🇮🇩 Indonesia · from Rp 4.200")
    scene.press(OMAR, page, "🇮🇩 Indonesia")
    await turned(scene, page, "whatsapp in indonesia 🇮🇩, cheapest first")
    scene.press(OMAR, page, "Order the cheapest, now Rp 4.200")
    card = await scene.hears("📱", OMAR)
    assert "whatsapp · indonesia · Rp 4.200" in card.text
    await scene.until(lambda: page.button_texts == [])
    assert scene.sms.books.requests[CREATE] == 1
    assert [message.text for message in scene.telegram.chats[OMAR].visible() if "Platforms" in message.text] == []

    scene.say(OMAR, "/order")
    again = await scene.hears("Platforms", OMAR)
    scene.telegram.fault(Fault(kind=FaultKind.ERROR, method="editMessageText", times=2))
    scene.press(OMAR, again, "telegram")
    await scene.hears("telegram · page 1 of 2", OMAR)
    assert again.button_texts[0] == "whatsapp"
    scene.press(OMAR, again, "discord")
    await turned(scene, again, "discord · page 1 of 2")
    scene.press(OMAR, again, "Page 2 ▸")
    await turned(scene, again, "page 2 of 2")
    assert {"‹ Platforms", "◂ Page 1"} <= set(again.button_texts)
    scene.press(OMAR, again, "‹ Platforms")
    await turned(scene, again, "Platforms")
    await scene.reconcile()


async def test_an_offer_is_ordered_by_its_name_and_for_no_more_than_it_showed(scene: Scene) -> None:
    page = await scene.ask(OMAR, "/order whatsapp note=build <7>", "🇮🇩 Indonesia")
    scene.press(OMAR, page, "🇮🇩 Indonesia")
    await turned(scene, page, "cheapest first")
    (label,) = [text for text in page.button_texts if text.startswith("Standard · ")]
    product = next(one for one in scene.sms.products("indonesia", "whatsapp") if "Standard" in one.name)
    product.price += 1_000
    scene.clock.jump(61)
    scene.press(OMAR, page, label)
    question = await scene.hears("whatsapp in indonesia costs Rp", OMAR)
    assert "Nothing is ordered yet" in question.text
    assert scene.sms.books.requests[CREATE] == 0
    scene.press(OMAR, question, "No")
    await scene.hears("Nothing was ordered.", OMAR)
    scene.press(OMAR, page, label)
    question = await scene.hears("whatsapp in indonesia costs Rp", OMAR)
    scene.press(OMAR, question, "Order it for Rp")
    card = await scene.hears("📱", OMAR)
    assert "for Omar · build <7>" in card.text
    assert scene.sms.books.charged == product.price
    assert scene.sms.order(scene.remote_id).product_id == product.id
    await scene.reconcile()


async def test_a_dear_number_is_asked_about_first_unless_a_price_was_said(tmp_path: Path) -> None:
    async with open_scene(tmp_path, limits={"confirm_above": 4_000}) as scene:
        question = await scene.ask(OMAR, "/order whatsapp indonesia note=x", "whatsapp in indonesia costs Rp 4.200")
        assert "above Rp 4.000 I ask first" in question.text
        scene.sms.set_product("indonesia", "whatsapp", price=4_100, stock=0)
        for product in scene.sms.products("indonesia", "whatsapp"):
            product.price += 500
        scene.clock.jump(61)
        scene.press(OMAR, question, "Order it for Rp 4.200")
        dearer = await scene.hears("whatsapp in indonesia costs Rp 4.700", OMAR)
        for _ in range(2):
            scene.press(OMAR, dearer, "Order it for Rp 4.700")
        card = await scene.hears("📱", OMAR)
        assert "· x" in card.text
        await scene.hears("📱", OMAR)
        order = await scene.order("whatsapp vietnam max=9000")
        assert order.price > 4_000
        scene.say(OMAR, "/again")
        await scene.hears("📱", OMAR)
        assert len(scene.sms.books.charges) == 3
        await scene.reconcile()


async def test_names_typed_in_reply_narrow_a_page_and_those_typed_alone_open_one(scene: Scene) -> None:
    page = await scene.ask(OMAR, "/catalog", "Platforms")
    scene.say(OMAR, "tele", reply_to=page.message_id)
    countries = await scene.hears("telegram · page 1 of 2", OMAR)
    scene.say(OMAR, "vietnam", reply_to=countries.message_id)
    offers = await scene.hears("telegram in vietnam 🇻🇳", OMAR)
    scene.say(OMAR, "polnad", reply_to=offers.message_id)
    wrong = await scene.hears("Did you mean poland", OMAR)
    scene.press(OMAR, wrong, "/catalog poland")
    country = await scene.hears("🇵🇱 Poland\n", OMAR)
    scene.say(OMAR, "grab", reply_to=country.message_id)
    await scene.hears("Nothing for grab in poland", OMAR)
    await scene.ask(OMAR, "whatsapp indonesia", "whatsapp in indonesia 🇮🇩")
    await scene.ask(OMAR, "good morning", "I read commands")
    await scene.ask(OMAR, "/order indonesia", "🇮🇩 Indonesia\n")

    scene.say(OMAR, "/order", TEAM_CHAT)
    page = await scene.hears("Platforms", TEAM_CHAT)
    scene.say(OMAR, "gojek", TEAM_CHAT, reply_to=page.message_id)
    await scene.hears("gojek\n", TEAM_CHAT)
    said = scene.say(OMAR, "no reply to a page", TEAM_CHAT, reply_to=scene.say(ADA, "hm", TEAM_CHAT).message_id)
    await scene.settle()
    assert max(scene.telegram.chats[TEAM_CHAT].messages) == said.message_id


@pytest.mark.parametrize(
    ("typed", "problem", "button"),
    [
        ("indonesia whatsapp note=a", "The platform comes first", "/order whatsapp indonesia note=a"),
        ("whatsapp indonesia 5.000", "The highest price is written max=5000", "/order whatsapp indonesia max=5.000"),
        ("whatsapp indonesia vietnam", "Put commas between countries", "/order whatsapp indonesia,vietnam"),
    ],
)
async def test_arguments_in_the_wrong_place_are_put_right_by_a_button(
    scene: Scene, typed: str, problem: str, button: str
) -> None:
    wrong = await scene.ask(OMAR, f"/order {typed}", problem)
    assert wrong.button_texts == [button]
    assert scene.sms.books.requests[CREATE] == 0
    scene.press(OMAR, wrong, button)
    await scene.hears("📱", OMAR)
    assert scene.sms.books.requests[CREATE] == 1


async def test_a_viewer_walks_through_everything_and_can_buy_nothing(scene: Scene) -> None:
    await scene.hire(VERA, "Vera", Role.VIEWER)
    page = await scene.ask(VERA, "/catalog whatsapp", "🇮🇩 Indonesia")
    scene.press(VERA, page, "🇮🇩 Indonesia")
    await turned(scene, page, "cheapest first")
    assert page.button_texts == ["‹ Countries"]
    offers = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    await scene.ask(ADA, f"/role {OMAR} viewer", "is a viewer now")
    scene.press(OMAR, offers, "Order the cheapest")
    await scene.until(lambda: "needs the role operator" in scene.telegram.callback_answers[-1].text)
    assert scene.sms.books.requests[CREATE] == 0


async def test_only_platforms_on_the_teams_list_are_shown_and_a_required_note_is_asked_for(tmp_path: Path) -> None:
    rules = {"platforms_allowed": ("WhatsApp", "Telegram"), "note_required": True}
    async with open_scene(tmp_path, ordering={"cancel_before_expiry": 0, **rules}) as scene:
        await scene.ask(OMAR, "/order", "begin with: /order note=login test")
        page = await scene.ask(OMAR, "/order note=login test", "Platforms")
        assert page.button_texts == ["whatsapp", "telegram"]
        for label, wanted in (("whatsapp", "Indonesia"), ("🇮🇩 Indonesia", "cheapest first")):
            scene.press(OMAR, page, label)
            await turned(scene, page, wanted)
        scene.press(OMAR, page, "Order the cheapest")
        assert "for Omar · login test" in (await scene.hears("📱", OMAR)).text


async def test_over_the_official_contract_mobile_networks_are_chosen_by_button(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        page = await scene.ask(OMAR, "/order", "Platforms")
        scene.press(OMAR, page, "WhatsApp")
        await turned(scene, page, "🇮🇩 Indonesia · from")
        scene.press(OMAR, page, "🇮🇩 Indonesia")
        await turned(scene, page, "WhatsApp in Indonesia 🇮🇩")
        (label,) = [text for text in page.button_texts if text.startswith("Indosat · ")]
        scene.press(OMAR, page, label)
        await scene.hears("📱", OMAR)
        (order,) = scene.sms.live_orders()
        (wanted,) = [one for one in scene.sms.products("indonesia", "whatsapp") if one.operator == "Indosat"]
        assert order.product_id == wanted.id

        scene.say(OMAR, "/again")
        await scene.hears("#2 · WhatsApp", OMAR)
        (order,) = scene.sms.live_orders()
        assert order.product_id == wanted.id
        wanted.available = 0
        scene.clock.jump(61)
        scene.say(OMAR, "/again")
        card = await scene.hears("#3 · WhatsApp", OMAR)
        assert "“Indosat”, which was chosen before, is not to be had now" in card.text
        (order,) = scene.sms.live_orders()
        assert order.product_id != wanted.id
        await scene.reconcile()


async def test_a_network_that_was_chosen_and_is_sold_no_more_has_another_stand_in(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        page = await scene.ask(OMAR, "/catalog whatsapp id", "WhatsApp in Indonesia")
        (label,) = [text for text in page.button_texts if text.startswith("Indosat · ")]
        scene.press(OMAR, page, label)
        await scene.hears("#1 · WhatsApp", OMAR)
        await scene.ask(OMAR, "/cancel", "came back")
        scene.sms.clear_catalog()
        scene.sms.set_product("indonesia", "whatsapp", 5_000, 5, operator="Telkomsel")
        scene.clock.jump(25 * 3600)
        scene.say(OMAR, "/again 1")
        card = await scene.hears("📱", OMAR)
        assert "“Indosat”, which was chosen before, is not to be had now" in card.text
        assert len(scene.sms.books.charges) == 2


async def test_a_fresh_number_is_of_the_kind_that_was_chosen_by_its_button_while_there_is_one(scene: Scene) -> None:
    scene.sms.clear_catalog()
    for country, name, price in (
        ("indonesia", "Basic", 4000),
        ("indonesia", "Premium", 5000),
        ("vietnam", "Premium", 1),
    ):
        scene.sms.set_product(country, "whatsapp", price, 500, name=name)
    (premium,) = [one for one in scene.sms.products("indonesia", "whatsapp") if one.name == "Premium"]
    page = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    scene.press(OMAR, page, "Premium · Rp 5.000")
    await scene.hears("#1 · whatsapp", OMAR)
    scene.say(OMAR, "/again")
    card = await scene.hears("#2 · whatsapp", OMAR)
    assert "Rp 5.000" in card.text

    # It is a wish, which survives that it could not be fulfilled once.
    premium.available = 0
    scene.clock.jump(61)
    scene.say(OMAR, "/again")
    card = await scene.hears("#3 · whatsapp · indonesia · Rp 4.000", OMAR)
    assert "“Premium”, which was chosen before, is not to be had now, so this is what there is." in card.text
    premium.available = 5
    scene.clock.jump(61)
    scene.say(OMAR, "/again")
    card = await scene.hears("#4 · whatsapp · indonesia · Rp 5.000", OMAR)
    assert "chosen before" not in card.text

    # What was typed, or was the cheapest by its button, is the cheapest again.
    scene.press(OMAR, await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first"), "Order the cheapest")
    await scene.hears("#5 · whatsapp · indonesia · Rp 4.000", OMAR)
    scene.say(OMAR, "/again 5")
    await scene.hears("#6 · whatsapp · indonesia · Rp 4.000", OMAR)
    await scene.reconcile()


async def test_a_misspelt_command_and_an_unnamed_order_are_a_tap_away(scene: Scene) -> None:
    wrong = await scene.ask(OMAR, "/ordr whatsapp indonesia note=x", "Did you mean /order?")
    scene.press(OMAR, wrong, "/order whatsapp indonesia note=x")
    await scene.hears("for Omar · x", OMAR)
    await scene.order("whatsapp vietnam")
    which = await scene.ask(OMAR, "/cancel", "Which one?")
    assert which.button_texts == ["/cancel 2", "/cancel 1"]
    scene.press(OMAR, which, "/cancel 1")
    await scene.hears("#1 is canceled", OMAR)
