"""Step 1 of the guide: what the account has, and an order that it cannot pay."""

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind
from tests.scene import Scene

CREATE = ("POST", "/v1/orders")


async def test_the_balance_is_shown_in_rupiah_as_it_is_now(scene: Scene) -> None:
    await scene.ask(OMAR, "/balance", "Rp 150.000")
    scene.sms.set_balance(0)
    await scene.ask(OMAR, "/balance", "The account has Rp 0.")
    assert scene.sms.books.requests["GET", "/v1/balance"] == 2


async def test_an_order_that_the_account_cannot_pay_names_both_figures_and_costs_nothing(scene: Scene) -> None:
    price = scene.sms.products("indonesia", "whatsapp")[0].price
    scene.sms.set_balance(price - 1)
    refusal = await scene.ask(OMAR, "/order whatsapp indonesia", "Nothing was charged")
    assert f"Rp {price - 1:,}".replace(",", ".") in refusal.text
    assert f"Rp {price:,}".replace(",", ".") in refusal.text
    assert "top it up" in refusal.text
    assert scene.sms.books.requests[CREATE] == 0
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    await scene.reconcile()
    scene.sms.set_balance(price)
    await scene.order()


async def test_a_balance_spent_elsewhere_while_the_order_was_on_its_way_is_told_the_same_way(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.SLOW, route="POST /v1/orders", seconds=0.3))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.until(lambda: scene.sms.books.requests[CREATE] == 1)
    scene.sms.set_balance(0)
    refusal = await scene.hears("Nothing was charged", OMAR)
    assert "cannot pay this order" in refusal.text
    assert "Rp 150.000" not in refusal.text
    assert scene.sms.books.charges == []
    assert scene.sms.books.requests[CREATE] == 1
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    await scene.reconcile()


async def test_a_price_that_rose_behind_the_catalog_is_booked_as_it_was_charged(scene: Scene) -> None:
    scene.sms.clear_catalog()
    product = scene.sms.set_product("indonesia", "whatsapp", 4_000, 9)
    other = scene.sms.set_product("indonesia", "telegram", 2_000, 9)
    scene.sms.set_balance(200_000)
    await scene.ask(OMAR, "/catalog whatsapp indonesia", "Rp 4.000")
    scene.sms.set_product("indonesia", "whatsapp", 99_000, 9, product_id=product)
    order = await scene.order("whatsapp indonesia max=5000")
    assert order.price == 99_000
    alert = await scene.hears("cost more than the catalog said", ADA, anew=False)
    assert "Rp 99.000 instead of Rp 4.000" in alert.text
    await scene.ask(OMAR, "/whoami", "Today: Rp 99.000 of Rp 100.000 · Rp 1.000 left")
    await scene.ask(OMAR, "/order telegram indonesia", "has only Rp 1.000 left")
    await scene.ask(OMAR, "/cancel", "Rp 99.000 came back")
    await scene.ask(OMAR, "/catalog telegram indonesia", "Rp 2.000")
    scene.sms.set_product("indonesia", "telegram", 2_001, 9, product_id=other)
    await scene.order("telegram indonesia")
    await scene.hears("Rp 2.001 instead of Rp 2.000", ADA, anew=False)
    assert [line.detail["extra"] for line in await scene.audited("order.overcharge")] == [1, 95_000]
    await scene.reconcile()
