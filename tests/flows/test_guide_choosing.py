"""Which product it becomes: the cheapest in stock, the next one, the next country; and what the member reads of it."""

from pathlib import Path

import pytest

from bot.chat.wording import format_amount
from bot.sandbox.bot_api import OMAR
from tests.scene import Scene, open_scene

CREATE = ("POST", "/v1/orders")


@pytest.fixture
async def shop(scene: Scene) -> Scene:
    """Three prices in Indonesia with the cheapest sold out, two in Vietnam, one in Poland."""
    stock_up(scene)
    return scene


def stock_up(scene: Scene) -> None:
    scene.sms.clear_catalog()
    for number, (country, price, stock) in enumerate(
        [
            ("indonesia", 1_000, 0),
            ("indonesia", 4_000, 9),
            ("indonesia", 2_000, 9),
            ("indonesia", 3_000, 9),
            ("vietnam", 6_000, 9),
            ("vietnam", 5_000, 9),
            ("poland", 7_000, 9),
        ],
        start=1,
    ):
        scene.sms.set_product(country, "whatsapp", price, stock, product_id=number)


async def look_first(scene: Scene) -> None:
    """Let the desk keep a catalog answer for each country, so that what sells out now sells out behind its back."""
    await scene.ask(OMAR, "/catalog whatsapp indonesia, vietnam, poland", "whatsapp in poland")


def sell_out(scene: Scene, *numbers: int) -> None:
    for number in numbers:
        scene.sms.sold_out(number)


async def test_the_cheapest_in_stock_is_taken_and_named_without_ado(shop: Scene) -> None:
    order = await shop.order()
    assert order.price == 2_000
    card = await shop.hears("📱", OMAR)
    assert "whatsapp · indonesia · Rp 2.000" in card.text
    assert "sold out" not in card.text
    assert "so this is" not in card.text
    assert shop.sms.books.requests[CREATE] == 1
    await shop.reconcile()
    assert await shop.audited("order.overcharge") == []


async def test_what_sold_out_meanwhile_leads_to_the_next_of_the_same_answer(shop: Scene) -> None:
    await look_first(shop)
    asked = shop.sms.books.requests["GET", "/v1/catalog/products"]
    sell_out(shop, 3)
    order = await shop.order()
    card = await shop.hears("📱", OMAR)
    assert order.price == 3_000
    assert "A cheaper offer was sold out in the meantime, so this is the next one." in card.text
    assert shop.sms.books.requests["GET", "/v1/catalog/products"] == asked
    assert [charge.amount for charge in shop.sms.books.charges] == [3_000]
    await shop.reconcile()


async def test_the_next_country_that_was_asked_for_comes_after_the_last_offer(shop: Scene) -> None:
    await look_first(shop)
    sell_out(shop, 2, 3, 4)
    order = await shop.order("whatsapp indonesia, vietnam note=build 214")
    card = await shop.hears("📱", OMAR)
    assert (order.country, order.price) == ("vietnam", 5_000)
    assert "whatsapp · vietnam · Rp 5.000" in card.text
    assert "indonesia had nothing left" in card.text
    assert "so this is vietnam" in card.text
    assert "build 214" in card.text
    assert [charge.amount for charge in shop.sms.books.charges] == [5_000]
    shop.sms.arrive(order.id, code="847291")
    code = await shop.hears("847291", OMAR)
    assert "vietnam" in code.text
    await shop.until(lambda: "The code is here" in card.text)
    assert "so this is vietnam" in card.text
    await shop.reconcile()


async def test_the_highest_price_is_respected_in_every_country(shop: Scene) -> None:
    refusal = await shop.ask(OMAR, "/order whatsapp indonesia,vietnam max=1999", "Nothing was charged")
    assert format_amount(1_999) in refusal.text
    assert "the cheapest is Rp 2.000" in refusal.text
    await look_first(shop)
    sell_out(shop, 3)
    refusal = await shop.ask(OMAR, "/order whatsapp indonesia,vietnam max=2000", "Nothing was charged")
    assert "the cheapest is Rp 3.000" in refusal.text
    order = await shop.order("whatsapp vietnam,indonesia max=4.000")
    assert (order.country, order.price) == ("indonesia", 3_000)
    assert "vietnam had nothing left at that price" in (await shop.hears("📱", OMAR)).text
    assert [charge.amount for charge in shop.sms.books.charges] == [3_000]
    await shop.reconcile()


async def test_when_all_is_sold_out_nothing_is_charged(shop: Scene) -> None:
    await look_first(shop)
    sell_out(shop, 2, 3, 4, 5, 6)
    refusal = await shop.ask(OMAR, "/order whatsapp indonesia,vietnam", "sold out in indonesia, vietnam")
    assert "Nothing was charged" in refusal.text
    assert shop.sms.books.requests[CREATE] == 5
    assert shop.sms.books.charges == []
    whoami = await shop.ask(OMAR, "/whoami", "Today: Rp 0 of")
    assert "Orders without a code: 0" in whoami.text
    await shop.reconcile()


async def test_the_configured_countries_come_last_and_are_tried_alone_without_any_named(tmp_path: Path) -> None:
    rules = {"countries": ("atlantis", "vietnam", "poland")}
    async with open_scene(tmp_path, ordering={"cancel_before_expiry": 0, **rules}) as scene:
        stock_up(scene)
        await look_first(scene)
        first = await scene.order("whatsapp")
        assert (first.country, first.price) == ("vietnam", 5_000)
        sell_out(scene, 2, 3, 4, 5, 6)
        second = await scene.order("whatsapp indonesia")
        card = await scene.hears("📱", OMAR)
        assert second.country == "poland"
        assert "indonesia had nothing left" in card.text
        assert "so this is poland" in card.text
        assert [charge.amount for charge in scene.sms.books.charges] == [5_000, 7_000]
        await scene.reconcile()


async def test_a_kept_catalog_whose_products_are_all_gone_is_asked_for_anew_at_once(shop: Scene) -> None:
    await look_first(shop)
    shop.sms.clear_catalog()
    shop.sms.set_product("indonesia", "whatsapp", 4_321, 5)
    order = await shop.order("whatsapp indonesia")
    assert order.price == 4_321
    assert [charge.amount for charge in shop.sms.books.charges] == [4_321]
    await shop.reconcile()


async def test_after_eight_offers_that_were_gone_the_ninth_is_left_to_the_next_command(shop: Scene) -> None:
    shop.sms.clear_catalog()
    for number in range(1, 11):
        shop.sms.set_product("indonesia", "whatsapp", number * 1_000, 9, product_id=number)
    await shop.ask(OMAR, "/catalog whatsapp indonesia", "Rp 1.000")
    sell_out(shop, *range(1, 9))
    await shop.ask(OMAR, "/order whatsapp indonesia", "Nothing was charged")
    assert shop.sms.books.requests[CREATE] == 8
    order = await shop.order("whatsapp indonesia")
    assert order.price == 9_000
    assert [charge.amount for charge in shop.sms.books.charges] == [9_000]
    await shop.reconcile()
