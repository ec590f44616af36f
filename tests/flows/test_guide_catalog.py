"""Step 2 of the guide: the catalog by country and platform, cheapest first, cached, and its ids never guessed."""

import re
from pathlib import Path

import pytest

from bot.chat.wording import country_title, format_amount
from bot.sandbox.bot_api import OMAR
from tests.scene import Scene

ROOT = Path(__file__).parents[2]
ASKED = ("GET", "/v1/catalog/products")


def prices(text: str) -> list[int]:
    """The prices of a listing, from top to bottom."""
    return [int(found.replace(".", "")) for found in re.findall(r"Rp ([0-9.]+) ·", text)]


async def test_offers_of_a_country_and_a_platform_come_cheapest_first_with_their_stock(scene: Scene) -> None:
    scene.sms.set_product("indonesia", "whatsapp", price=100_000, stock=0, name="Palace")
    answer = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    shown = scene.sms.products("indonesia", "whatsapp")
    assert prices(answer.text) == sorted(product.price for product in shown)
    for product in shown:
        stock = f"{product.available} in stock" if product.available else "sold out"
        assert f"{format_amount(product.price)} · {stock} · {product.name}" in answer.text
    assert f"{format_amount(100_000)} · sold out · Palace" in answer.text
    cheapest = min(product.price for product in shown)
    assert answer.button_texts[0] == f"Order the cheapest, now {format_amount(cheapest)}"
    assert not any("Palace" in label for label in answer.button_texts)
    scene.press(OMAR, answer, "Order the cheapest")
    await scene.hears("📱", OMAR)
    assert scene.sms.books.charged == cheapest


async def test_the_catalog_can_be_asked_by_any_combination(scene: Scene) -> None:
    everything = await scene.ask(OMAR, "/catalog", "Platforms")
    assert {"whatsapp", "gojek", "discord"} <= set(re.findall(r"^[\w-]+(?= ·)", everything.text, re.MULTILINE))
    by_platform = await scene.ask(OMAR, "/catalog WhatsApp", "whatsapp · page 1 of 2")
    first_page = by_platform.text
    scene.press(OMAR, by_platform, "Page 2 ▸")
    await scene.until(lambda: "page 2 of 2" in by_platform.text)
    pages = f"{first_page}\n{by_platform.text}"
    sold = [product for product in scene.sms.products(platform="whatsapp") if product.available]
    for country in {product.country for product in sold}:
        lowest = min(product.price for product in sold if product.country == country)
        assert f"{country_title(country)} · from {format_amount(lowest)}" in pages
    by_country = await scene.ask(OMAR, "/catalog Indonesia", "🇮🇩 Indonesia\n")
    assert "gojek · from" in by_country.text
    assert "Vietnam" not in by_country.text
    scene.say(OMAR, "/catalog whatsapp indonesia, united kingdom")
    await scene.hears("whatsapp in indonesia", OMAR)
    await scene.hears("whatsapp in united-kingdom", OMAR)
    for text in (everything.text, pages, by_country.text):
        listed = [int(found.replace(".", "")) for found in re.findall(r"from Rp ([0-9.]+)", text)]
        assert listed == sorted(listed)
        assert listed


async def test_countries_alone_may_be_several_and_of_two_words(scene: Scene) -> None:
    await scene.ask(OMAR, "/catalog united kingdom", "🇬🇧 United Kingdom")
    scene.say(OMAR, "/catalog vietnam, poland")
    assert "gojek" in (await scene.hears("🇻🇳 Vietnam", OMAR)).text
    assert "gojek" not in (await scene.hears("🇵🇱 Poland", OMAR)).text
    await scene.ask(OMAR, "/catalog nowhere land", "I know no country “nowhere land”")


async def test_a_name_that_nobody_sells_is_answered_with_the_nearest_one(scene: Scene) -> None:
    answer = await scene.ask(OMAR, "/catalog watsapp indonesia", "Did you mean")
    scene.press(OMAR, answer, "/catalog whatsapp indonesia")
    await scene.hears("cheapest first", OMAR)
    await scene.ask(OMAR, "/catalog gojek poland", "Nothing for gojek in poland at the moment.")


async def test_a_catalog_answer_is_kept_for_a_minute_and_not_for_ever(scene: Scene) -> None:
    requests = scene.sms.books.requests
    await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    asked, since = requests[ASKED], scene.clock.now()
    for _ in range(3):
        await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    await scene.order()
    await scene.order()
    assert requests[ASKED] == asked
    assert scene.clock.now() - since < 60
    await scene.clock.sleep(61 - (scene.clock.now() - since))
    product = scene.sms.products("indonesia", "whatsapp")[0]
    product.price = 1
    await scene.ask(OMAR, "/catalog whatsapp indonesia", "Rp 1 ·")
    assert requests[ASKED] > asked


async def test_ids_that_change_between_two_orders_change_nothing_for_the_member(scene: Scene) -> None:
    first = await scene.order()
    old = {product.id for product in scene.sms.products()}
    scene.sms.clear_catalog()
    fresh = scene.sms.set_product("indonesia", "whatsapp", price=3_000, stock=5, product_id=max(old) + 1)
    # Within the minute the desk still holds the old ids: SMSCode refuses them, and the desk asks anew by itself.
    second = await scene.order()
    assert (first.product_id in old, second.product_id) == (True, fresh)
    await scene.reconcile()


@pytest.mark.parametrize("folder", ["bot", "storage"])
def test_no_product_id_is_written_down_in_the_code(folder: str) -> None:
    literal = re.compile(r"product_ids?[\"']?\s*(?:[=:]|==)\s*[\"']?\d")
    sources = [path for path in (ROOT / folder).rglob("*.py") if "sandbox" not in path.parts]
    assert len(sources) > 5
    assert [str(path) for path in sources if literal.search(path.read_text(encoding="utf-8"))] == []


def test_no_product_id_is_asked_of_the_configuration() -> None:
    files = [ROOT / "bot" / "config.py", *ROOT.glob("config*.toml")]
    assert [str(path) for path in files if "product" in path.read_text(encoding="utf-8").casefold()] == []
