"""Step 1 of the guide: what the account has, and an order that it cannot pay."""

from bot.sandbox.bot_api import OMAR
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
    await scene.ask(OMAR, "/whoami", "You today: Rp 0 of")
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
    await scene.ask(OMAR, "/whoami", "You today: Rp 0 of")
    await scene.reconcile()
