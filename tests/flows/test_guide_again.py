"""A code that was rejected: end the order, take a fresh number, pay once more and not twice."""

from bot.sandbox.bot_api import OMAR
from bot.sandbox.sms_api import OrderStatus
from tests.scene import Scene

CREATE = ("POST", "/v1/orders")


async def test_again_after_a_rejected_code_ends_the_order_and_charges_one_more(scene: Scene) -> None:
    first = await scene.order("whatsapp indonesia max=9000 note=build 214")
    scene.sms.arrive(first.id, code="847291")
    await scene.hears("847291", OMAR)
    scene.say(OMAR, "/again")
    await scene.hears("#1 is canceled. Nothing comes back: the code had arrived.", OMAR)
    card = await scene.hears("📱", OMAR)
    (second,) = scene.sms.live_orders()
    assert second.phone_number in card.text
    assert second.phone_number != first.phone_number
    assert "#2 · whatsapp · indonesia" in card.text
    assert "build 214" in card.text
    assert scene.sms.order(first.id).status == OrderStatus.CANCELLED
    assert len(scene.sms.books.charges) == 2
    assert scene.sms.books.refunds == []
    scene.sms.arrive(second.id, code="555666")
    await scene.hears("555666", OMAR)
    await scene.reconcile()


async def test_again_on_a_waiting_order_refunds_it_first(scene: Scene) -> None:
    first = await scene.order()
    scene.say(OMAR, "/again 1")
    await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
    await scene.hears(lambda message: "#2 · whatsapp" in message.text, OMAR)
    assert not scene.sms.order(first.id).live
    assert (len(scene.sms.books.charges), len(scene.sms.books.refunds)) == (2, 1)
    refunded_at, charged_at = scene.sms.books.refunds[0].at, scene.sms.books.charges[1].at
    assert refunded_at <= charged_at
    await scene.reconcile()


async def test_again_does_not_throw_away_a_code_that_has_just_come(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    scene.say(OMAR, "/again 1")
    await scene.hears("847291", OMAR)
    await scene.hears("The code of #1 has just come", OMAR)
    assert scene.sms.order(order.id).live
    assert len(scene.sms.books.charges) == 1
    await scene.reconcile()


async def test_a_button_pressed_twice_in_a_hurry_orders_once(scene: Scene) -> None:
    first = await scene.order()
    scene.sms.arrive(first.id, code="847291")
    code = await scene.hears("🔑", OMAR)
    scene.press(OMAR, code, "Rejected? New number")
    scene.telegram.press(OMAR, OMAR, code.message_id, "Rejected? New number")
    await scene.hears("#2 · whatsapp", OMAR)
    await scene.until(lambda: any(answer.text == "Already done." for answer in scene.telegram.callback_answers))
    await scene.settle()
    assert scene.sms.books.requests[CREATE] == 2
    assert len(scene.sms.live_orders()) == 1
    await scene.reconcile()


async def test_another_one_after_the_end_is_one_press_away(scene: Scene) -> None:
    await scene.order()
    ended = await scene.ask(OMAR, "/cancel", "#1 is canceled")
    scene.press(OMAR, ended, "Order another")
    await scene.hears("#2 · whatsapp", OMAR)
    assert len(scene.sms.live_orders()) == 1
    await scene.reconcile()


async def test_again_without_any_order_says_so(scene: Scene) -> None:
    await scene.ask(OMAR, "/again", "You have no live order.")
    assert scene.sms.books.requests[CREATE] == 0
