"""Step 5 of the guide: a cancel before the code brings the money back, one after it does not, and says so first."""

from collections.abc import Callable
from pathlib import Path

from bot.sandbox.bot_api import OMAR, Message
from bot.sandbox.sms_api import Fault, FaultKind, OrderStatus
from tests.scene import Scene, open_scene

CANCEL = ("POST", "/v1/orders/{id}/cancel")


async def test_a_cancel_before_the_code_says_how_much_came_back(scene: Scene) -> None:
    ways: list[Callable[[int, Message], object]] = [
        lambda _, __: scene.say(OMAR, "/cancel"),
        lambda number, _: scene.say(OMAR, f"/cancel #{number}"),
        lambda _, card: scene.say(OMAR, "/cancel", reply_to=card.message_id),
        lambda _, card: scene.press(OMAR, card, "Cancel and refund"),
    ]
    for number, way in enumerate(ways, start=1):
        order = await scene.order()
        card = await scene.hears("📱", OMAR)
        way(number, card)
        await scene.hears(f"#{number} is canceled. Rp 4.200 came back.", OMAR)
        await scene.until(lambda card=card: "Canceled. Rp 4.200 came back." in card.text)  # type: ignore[misc]
        assert scene.sms.order(order.id).status == OrderStatus.CANCELLED
        assert scene.sms.books.requests[CANCEL] == len(scene.sms.books.refunds) == number
        await scene.reconcile()
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")


async def test_the_list_of_live_orders_has_a_button_to_cancel_each(scene: Scene) -> None:
    first = await scene.order()
    second = await scene.order("whatsapp vietnam")
    listed = await scene.ask(OMAR, "/orders", "#2 ·")
    assert listed.button_texts == ["Copy #2", "Cancel #2", "Copy #1", "Cancel #1"]
    assert scene.telegram.copy(OMAR, OMAR, listed.message_id, "Copy #1") == first.phone_number
    scene.press(OMAR, listed, "Cancel #1")
    await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
    assert (scene.sms.order(first.id).live, scene.sms.order(second.id).live) == (False, True)
    await scene.reconcile()


async def test_a_cancel_after_the_code_asks_first_and_both_answers_hold(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    question = await scene.ask(OMAR, "/cancel", "nothing comes back")
    assert "Rp 4.200 stays spent" in question.text
    scene.press(OMAR, question, "Keep it")
    await scene.hears("Kept.", OMAR)
    assert question.button_texts == []
    assert scene.sms.order(order.id).live
    assert scene.sms.books.requests[CANCEL] == 0
    scene.sms.arrive(order.id, code="111222")
    await scene.hears("111222", OMAR)
    question = await scene.ask(OMAR, "/cancel 1", "nothing comes back")
    scene.press(OMAR, question, "End it, nothing comes back")
    told = await scene.hears("#1 is canceled. Nothing comes back: the code had arrived.", OMAR)
    assert "Order another" in told.button_texts
    assert scene.sms.order(order.id).status == OrderStatus.CANCELLED
    assert scene.sms.books.spent == order.price
    await scene.reconcile()


async def test_a_code_that_came_since_the_last_look_is_not_wasted_by_a_cancel(scene: Scene) -> None:
    order = await scene.order()
    card = await scene.hears("📱", OMAR)
    # The watcher's look hangs while the SMS comes, so the one that /cancel takes is the first to see the code.
    scene.sms.faults.add(Fault(kind=FaultKind.SLOW, seconds=0.5, route="GET /v1/orders/{id}"))
    await scene.clock.sleep(5)
    scene.sms.arrive(order.id, code="847291")
    scene.press(OMAR, card, "Cancel and refund")
    await scene.hears("847291", OMAR)
    question = await scene.hears("nothing comes back", OMAR)
    assert scene.sms.order(order.id).live
    assert scene.sms.books.requests[CANCEL] == 0
    assert question.button_texts == ["End it, nothing comes back", "Keep it"]
    await scene.reconcile()


async def test_a_cancel_that_cannot_be_looked_at_is_told_as_soon_as_it_shows(tmp_path: Path) -> None:
    # The watcher looks so seldom here that both looks are those of /cancel: the one before and the one after it.
    async with open_scene(tmp_path, polling={"interval": 20}) as scene:
        await scene.order()
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/orders/{id}", after_calls=1))
        await scene.ask(OMAR, "/cancel", "SMSCode took the cancel of #1. You hear the outcome")
        await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
        assert len([text for text in scene.said_by_bot(OMAR) if "#1 is canceled" in text]) == 1
        assert scene.sms.books.requests[CANCEL] == 1
        await scene.reconcile()


async def test_a_second_cancel_is_told_that_it_is_over(scene: Scene) -> None:
    await scene.order()
    card = await scene.hears("📱", OMAR)
    scene.press(OMAR, card, "Cancel and refund")
    scene.telegram.press(OMAR, OMAR, card.message_id, "Cancel and refund")
    await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
    await scene.until(lambda: any(answer.text == "Already done." for answer in scene.telegram.callback_answers))
    await scene.ask(OMAR, "/cancel 1", "#1 is over already (canceled). Nothing changed.")
    await scene.ask(OMAR, "/cancel", "You have no live order.")
    await scene.ask(OMAR, "/cancel 7", "There is no order #7 that you may see.")
    assert scene.sms.books.requests[CANCEL] == 1
    assert len(scene.sms.books.refunds) == 1
    await scene.reconcile()


async def test_with_two_live_orders_a_cancel_asks_which_one(scene: Scene) -> None:
    first = await scene.order()
    second = await scene.order("whatsapp vietnam")
    await scene.ask(OMAR, "/cancel", "Which one? Live: #2, #1")
    await scene.ask(OMAR, "/cancel 2", "#2 is canceled.")
    assert scene.sms.order(first.id).live
    assert not scene.sms.order(second.id).live
    await scene.reconcile()
