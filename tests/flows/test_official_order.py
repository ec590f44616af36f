"""The way of an order where SMSCode speaks the official contract: chat in, chat out, one charge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import OrderStatus, SmsWorld
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

CREATE = ("POST", "/v1/orders/create")
READ = ("GET", "/v1/orders/{id}")
ACTIVE = ("GET", "/v1/orders/active")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk that has found out by itself that the official contract is spoken."""
    async with open_scene(tmp_path, contract="official") as opened:
        yield opened


async def test_from_the_order_to_done(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    cheapest = min(product.price for product in scene.sms.products("indonesia", "whatsapp") if product.available)
    assert order.price == cheapest
    scene.sms.arrive(order.id, "482913")
    code = await scene.hears("482913", OMAR, anew=False)
    assert order.phone_number in code.text
    assert "Done" in code.button_texts
    assert "Another SMS" in code.button_texts
    await scene.ask(OMAR, "/done", "#1 is finished")
    assert order.status == OrderStatus.COMPLETED
    await scene.until(lambda: scene.sms.live_orders() == [])
    assert scene.sms.books.requests[CREATE] == len(scene.sms.books.charges) == 1
    await scene.reconcile()


async def test_help_lists_what_only_this_contract_has(scene: Scene) -> None:
    page = await scene.ask(OMAR, "/help", "You are an operator")
    assert all(command in page.text for command in ("/done", "/resend", "/reactivate"))


async def test_watching_is_one_list_whatever_the_number_of_orders(scene: Scene) -> None:
    ordered = [await scene.order(f"whatsapp {country}") for country in ("id", "vn", "ph")]
    reads, lists = scene.sms.books.requests[READ], scene.sms.books.requests[ACTIVE]
    await scene.until(lambda: scene.sms.books.requests[ACTIVE] >= lists + 5)
    assert scene.sms.books.requests[READ] == reads
    for number, order in enumerate(ordered):
        scene.sms.arrive(order.id, f"48291{number}")
        await scene.hears(f"48291{number}", OMAR, anew=False)
    assert scene.sms.books.requests[READ] == reads


async def test_an_sms_that_the_list_counts_and_does_not_show_is_read_until_it_is_had(scene: Scene) -> None:
    """Also when the order itself shows it no sooner; then it is left alone again."""
    scene.sms.hides_sms = frozenset({"list", "read"})
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "739105")
    lists = scene.sms.books.requests[ACTIVE]
    await scene.until(lambda: scene.sms.books.requests[ACTIVE] >= lists + 4)
    scene.sms.hides_sms = frozenset({"list"})
    await scene.hears("739105", OMAR, anew=False)
    reads, lists = scene.sms.books.requests[READ], scene.sms.books.requests[ACTIVE]
    await scene.until(lambda: scene.sms.books.requests[ACTIVE] >= lists + 4)
    assert scene.sms.books.requests[READ] == reads


@pytest.mark.parametrize("where", ["id", "ID", "🇮🇩", "+62", "62", "Indonesia", "indonsia"])
async def test_a_country_goes_by_many_names(scene: Scene, where: str) -> None:
    scene.say(OMAR, f"/order whatsapp {where}")
    if where == "indonsia":
        told = await scene.hears("Did you mean", OMAR)
        scene.press(OMAR, told, told.button_texts[0])
    await scene.hears("📱", OMAR)
    (order,) = scene.sms.live_orders()
    assert order.country == "indonesia"


async def test_an_operator_is_chosen_or_explained(scene: Scene) -> None:
    (wanted,) = [one for one in scene.sms.products("indonesia", "whatsapp") if one.operator == "Indosat"][:1]
    wanted.available = 3
    order = await scene.order("whatsapp id op=indosat")
    assert order.product_id == wanted.id
    unknown = await scene.ask(OMAR, "/order whatsapp id op=verizon", "I know no operator “verizon”")
    assert "/order whatsapp id op=Telkomsel" in unknown.button_texts
    await scene.order("whatsapp id op=any")
    assert len(scene.sms.books.charges) == 2


async def test_a_country_without_the_network_that_is_asked_for_is_passed_over(scene: Scene) -> None:
    (wanted,) = [one for one in scene.sms.products("indonesia", "whatsapp") if one.operator == "Indosat"][:1]
    wanted.available = 3
    order = await scene.order("whatsapp vn,id op=indosat")
    assert order.product_id == wanted.id


async def test_a_network_that_was_typed_is_insisted_on_and_none_stands_in_for_it(scene: Scene) -> None:
    (wanted,) = [one for one in scene.sms.products("indonesia", "whatsapp") if one.operator == "Indosat"][:1]
    wanted.available = 3
    await scene.order("whatsapp id op=indosat")
    wanted.available = 0
    scene.clock.jump(61)
    scene.say(OMAR, "/again")
    await scene.hears("Nothing was charged", OMAR)
    assert len(scene.sms.books.charges) == 1
    await scene.reconcile()


async def test_the_best_number_is_the_one_that_succeeds_and_not_the_cheapest(scene: Scene) -> None:
    on_sale = [product.price for product in scene.sms.products("indonesia", "whatsapp") if product.available]
    order = await scene.order("whatsapp id best")
    assert order.price == max(on_sale) > min(on_sale)
    capped = await scene.order(f"whatsapp id best max={max(on_sale) - 1}")
    assert capped.price < max(on_sale)
    await scene.reconcile()


async def test_the_best_number_may_cost_what_the_dearest_of_its_kind_costs_and_no_more(scene: Scene) -> None:
    scene.sms.clear_catalog()
    for price, linked in ((4_000, True), (5_000, True), (9_000, False)):
        scene.sms.set_product("indonesia", "whatsapp", price, 500, linked=linked)
    await scene.order("whatsapp id best")
    await scene.order("whatsapp id best max=5000")
    await scene.order("whatsapp id best max=4999")
    assert [line.detail["price"] for line in await scene.audited("order.reserve")] == [4_000, 5_000, 5_000]


async def test_a_price_that_rises_between_the_catalog_and_the_order_is_not_paid(scene: Scene) -> None:
    await scene.ask(OMAR, "/catalog whatsapp id", "Indonesia")
    for product in scene.sms.products("indonesia", "whatsapp"):
        product.price += 10_000
    scene.say(OMAR, "/order whatsapp id max=9000")
    await scene.hears("Nothing was charged", OMAR)
    assert scene.sms.books.charges == []
    await scene.reconcile()


async def test_a_product_that_left_the_catalog_since_it_was_listed_costs_nothing(scene: Scene) -> None:
    """Of a kind that SMSCode chooses from, and of a single product."""
    for platform, name in (("whatsapp", "WhatsApp"), ("gojek", "Gojek")):
        await scene.ask(OMAR, f"/catalog {platform} id", name)
    scene.sms.clear_catalog()
    for platform, name in (("whatsapp", "WhatsApp"), ("gojek", "Gojek")):
        await scene.ask(OMAR, f"/order {platform} id", f"{name} is sold out in Indonesia. Nothing was charged.")
    assert scene.sms.books.charges == []
    await scene.reconcile()


async def test_a_provider_that_fails_is_passed_over_for_the_next_offer(scene: Scene) -> None:
    scene.sms.provider_errors = 1
    order = await scene.order("whatsapp id,vn")
    assert len(scene.sms.books.charges) == 1
    assert scene.sms.books.requests[CREATE] == 2
    assert order.country in {"indonesia", "vietnam"}
    await scene.reconcile()


async def test_a_number_that_comes_later_is_told_when_it_comes(scene: Scene) -> None:
    scene.sms.numbers_late = True
    scene.say(OMAR, "/order whatsapp id")
    await scene.until(lambda: bool(scene.sms.live_orders()))
    (order,) = scene.sms.live_orders()
    await scene.hears(order.phone_number, OMAR)
    scene.sms.arrive(order.id, "771204")
    await scene.hears("771204", OMAR)
    await scene.reconcile()


async def test_a_text_without_a_code_is_delivered_as_text(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, text="Tap to confirm: https://example.test/c?x=1&y=<2>")
    shown = await scene.hears("An SMS without a code arrived", OMAR)
    assert "https://example.test/c?x=1&y=<2>" in shown.text
    scene.sms.arrive(order.id, "550123")
    await scene.hears("550123", OMAR)


async def test_another_sms_with_the_same_digits_is_another_message(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "550123")
    first = await scene.hears("550123", OMAR)
    await scene.ask(OMAR, "/resend", "waits for another SMS")
    scene.sms.arrive(order.id, "550123")
    second = await scene.hears("SMS number 2", OMAR, anew=False)
    assert "550123" in second.text
    assert second.message_id != first.message_id


async def test_platforms_are_listed_by_name_where_the_catalog_is_too_long(scene: Scene) -> None:
    shown = await scene.ask(OMAR, "/catalog", "Platforms")
    assert "WhatsApp" in shown.text
    assert "Telegram" in shown.text
    where = await scene.ask(OMAR, "/catalog whatsapp", "WhatsApp")
    assert "Indonesia · from" in where.text
    what = await scene.ask(OMAR, "/catalog id", "Indonesia")
    assert "Telegram · from" in what.text


async def test_the_status_names_the_contract_and_the_orders_of_others(scene: Scene) -> None:
    await scene.order("whatsapp id")
    product = next(product for product in scene.sms.products("vietnam", "telegram") if product.available)
    foreign = scene.sms.create_order(product.id)
    told = await scene.ask(ADA, "/status", "contract: official")
    assert str(foreign.number) in told.text
    await scene.settle()
    assert foreign.live
    assert await scene.count("SELECT count(*) FROM orders") == 1


async def test_renting_the_same_number_again_asks_the_price_first(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "550123")
    await scene.hears("550123", OMAR)
    await scene.ask(OMAR, "/done", "#1 is finished")
    asked = await scene.ask(OMAR, "/reactivate 1", "The same number again")
    assert order.phone_number in asked.text
    assert len(scene.sms.books.charges) == 1
    scene.press(OMAR, asked, asked.button_texts[0])
    card = await scene.hears("📱", OMAR)
    assert order.phone_number in card.text
    (again,) = scene.sms.live_orders()
    assert again.reactivates == order.id
    scene.sms.arrive(again.id, "661234")
    await scene.hears("661234", OMAR)
    await scene.reconcile()


async def test_an_order_that_is_not_over_cannot_be_rented_again(scene: Scene) -> None:
    await scene.order("whatsapp id")
    told = await scene.ask(OMAR, "/reactivate 1", "That is not possible now")
    assert "nothing changed" in told.text


async def test_a_desk_that_starts_before_smscode_finds_the_contract_out_later(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    sms.down = True
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        await scene.ask(OMAR, "/order whatsapp id", "SMSCode cannot be reached right now")
        assert scene.app.desk.sms.contract == ""
        sms.down = False
        await scene.until(lambda: scene.app.desk.sms.contract == "official")
        await scene.order("whatsapp id")
