"""`/watch`: told once when it is there, ordered by a button that knows no price and breaks no limit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, TelegramWorld, demo_cast
from bot.sandbox.sms_api import Fault, FaultKind, SmsWorld
from bot.services.stock import DAYS, MOST, Rounds
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

CATALOG = ("GET", "/v1/catalog/products")
CREATE = ("POST", "/v1/orders")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Scene]:
    """Whatsapp in Indonesia is sold out, in Vietnam it costs 6000; the lookout goes round when the test says so."""
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    sms.clear_catalog()
    sms.set_product("indonesia", "whatsapp", 4_000, 0)
    sms.set_product("vietnam", "whatsapp", 6_000, 5)
    async with open_scene(tmp_path, sms=sms, clock=clock) as opened:
        yield opened


async def go_round(scene: Scene) -> None:
    """One round with a fresh catalog, as a minute later."""
    scene.clock.jump(61)
    await Rounds(scene.app.desk).look()


def restock(scene: Scene, country: str, price: int, stock: int) -> None:
    (product,) = scene.sms.products(country, "whatsapp")
    product.price, product.available = price, stock


def news(scene: Scene, chat_id: int = OMAR) -> list[str]:
    return [said for said in scene.said_by_bot(chat_id) if said.startswith("🛒")]


async def test_what_is_back_is_told_once_and_ordered_by_its_button(shop: Scene) -> None:
    await shop.ask(OMAR, "/watch whatsapp indonesia below=4000", "when whatsapp in indonesia is in stock for at most")
    restock(shop, "indonesia", 4_001, 3)
    await go_round(shop)
    assert await shop.count("SELECT count(*) FROM outbox WHERE kind = 'stock'") == 0
    restock(shop, "indonesia", 3_900, 3)
    await go_round(shop)
    told = await shop.hears("🛒 Omar: whatsapp in indonesia is in stock, from Rp 3.900, 3 left", OMAR)
    await go_round(shop)
    await shop.ask(OMAR, "/watch", "You wait for nothing")
    assert len(news(shop)) == 1

    data = [button["callback_data"] for button in told.buttons]
    assert not any("3900" in one or "4000" in one for one in data)
    assert await shop.count("SELECT count(*) FROM buttons WHERE facts LIKE '%3900%' OR facts LIKE '%4000%'") == 0
    restock(shop, "indonesia", 4_001, 3)
    shop.clock.jump(61)
    shop.press(OMAR, told, "Order it")
    await shop.hears("up to Rp 4.000; the cheapest is Rp 4.001. Nothing was charged", OMAR)
    restock(shop, "indonesia", 4_000, 3)
    shop.clock.jump(61)
    shop.press(OMAR, told, "Order it")
    await shop.hears("📱", OMAR)
    assert [charge.amount for charge in shop.sms.books.charges] == [4_000]
    await shop.reconcile()


async def test_the_button_keeps_limits_owners_and_time(shop: Scene) -> None:
    await shop.ask(OMAR, "/watch whatsapp indonesia", "is in stock. After 7 days I stop looking")
    restock(shop, "indonesia", 4_000, 3)
    await go_round(shop)
    told = await shop.hears("🛒 Omar", OMAR)
    await shop.ask(ADA, f"/limit {OMAR} per_order 100", "per order at most Rp 100")
    shop.press(OMAR, told, "Order it")
    await shop.hears("your limit per order is Rp 100", OMAR)
    shop.clock.jump(25 * 3600)
    shop.press(OMAR, told, "Order it")
    await shop.until(lambda: any("no longer valid" in answer.text for answer in shop.telegram.callback_answers))
    assert shop.sms.books.requests[CREATE] == 0
    assert await shop.count("SELECT count(*) FROM stock_watches") in (0, 1)


async def test_watches_are_listed_ended_bounded_and_end_by_themselves(shop: Scene) -> None:
    await shop.ask(OMAR, "/watch whatsapp indonesia", "I tell you here")
    await shop.ask(OMAR, "/watch whatsapp id below=3.500", "Did you mean")
    await shop.ask(OMAR, "/watch whatsapp indonesia below=3.500", "at most Rp 3.500")
    listed = await shop.ask(OMAR, "/watch", "whatsapp in indonesia, at most Rp 3.500 · until 21 Mar")
    assert listed.button_texts == ["End: whatsapp, indonesia"]
    shop.press(OMAR, listed, "End: whatsapp, indonesia")
    await shop.hears("I no longer look for whatsapp in indonesia", OMAR)
    await shop.ask(OMAR, "/watch off 1", "You have no such watch")
    for number in range(MOST + 1):
        shop.sms.set_product(f"land{chr(97 + number)}", "whatsapp", 9_000, 0)
    shop.clock.jump(61)
    for number in range(MOST):
        await shop.ask(OMAR, f"/watch whatsapp land{chr(97 + number)}", "I tell you here")
    await shop.ask(OMAR, f"/watch whatsapp land{chr(97 + MOST)}", f"You watch {MOST} things already")
    shop.clock.jump(DAYS * 86_400 + 60)
    await shop.ask(OMAR, "/watch", "You wait for nothing")
    lines = await shop.audited("stock.watch")
    assert (len(lines), lines[-1].actor_id) == (MOST + 2, OMAR)


async def test_what_is_there_already_is_said_at_once_and_bad_words_lead_to_right_ones(shop: Scene) -> None:
    there = await shop.ask(OMAR, "/watch whatsapp vietnam", "is in stock now, from Rp 6.000")
    assert there.button_texts == ["Order it"]
    assert await shop.count("SELECT count(*) FROM stock_watches") == 0
    wrong = {
        "whatsapp": "Say one platform and one country",
        "whatsapp indonesia,vietnam": "Say one platform and one country",
        "whatsapp indonesia below=cheap": "is not an amount",
        "whatsapp indonesia below=0": "Nothing is below Rp 0",
        "whatsapp indonesia note=x": "Only below= may follow",
        "whatsap indonesa": "Did you mean",
        "whatsapp <b>": "I know no country",
        "off x": "I know no platform",
    }
    for typed, answer in wrong.items():
        await shop.ask(OMAR, f"/watch {typed}", answer)
    shop.press(OMAR, there, "Order it")
    await shop.hears("📱", OMAR)


async def test_rounds_stay_within_the_budget_and_a_revoked_member_hears_nothing(shop: Scene) -> None:
    await shop.ask(OMAR, "/watch whatsapp indonesia", "I tell you here")
    shop.clock.jump(61)
    asked = shop.sms.books.requests[CATALOG]
    shop.app.desk.requests.pause(5.0)
    await Rounds(shop.app.desk).look()
    assert shop.sms.books.requests[CATALOG] == asked
    shop.clock.jump(120)
    shop.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/catalog/products"))
    await go_round(shop)
    restock(shop, "indonesia", 4_000, 3)
    await shop.ask(ADA, f"/revoke {OMAR}", "is off the list")
    await go_round(shop)
    await shop.settle()
    assert news(shop) == []


async def test_a_watch_in_a_group_rings_for_its_member_alone_and_the_rounds_are_made_by_itself(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    telegram = demo_cast(TelegramWorld(now=clock.now))
    sms = SmsWorld(now=clock.now, arrival=None)
    sms.clear_catalog()
    sms.set_product("indonesia", "whatsapp", 4_000, 0)
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock) as scene:
        await scene.ask(ADA, "/chats allow", "I work in", TEAM_CHAT)
        await scene.ask(OMAR, "/watch whatsapp indonesia", "I tell you here", TEAM_CHAT)
        restock(scene, "indonesia", 4_000, 1)
        told = await scene.hears("🛒 Omar", TEAM_CHAT, patience=15)
        assert told.entity_texts("text_mention") == ["Omar"]
        await scene.ask(ADA, "/allow 1003 operator", "is an operator now")
        scene.telegram.press(1003, TEAM_CHAT, told.message_id, "Order it")
        await scene.until(lambda: any("This button is Omar's" in one.text for one in telegram.callback_answers))
        assert sms.books.requests[CREATE] == 0
