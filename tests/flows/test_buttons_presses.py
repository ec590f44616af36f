"""Buttons: they do what they say, once, for the right person, and every press is answered."""

from bot.chat import keyboards
from bot.chat.keyboards import Press
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, CallbackAnswer, Fault, FaultKind, Message
from tests.scene import Scene

BOB = 2003
DAY = 24 * 3600


async def test_forged_data_is_answered_and_does_nothing(scene: Scene) -> None:
    order = await scene.order()
    card = await scene.hears(order.phone_number, OMAR, anew=False)
    real = card.button("Cancel and refund")["callback_data"]
    nonce = real.split(":")[2]
    forged = (
        "v1:cancel:AAAAAAAAAAAAAAAA",
        "v1:admit:",
        "v1::",
        f"v2:cancel:{nonce}",
        f"v1:cancel:{nonce}:1",
        f"v1:cancel:{nonce.swapcase()}",
        "v1:cancel:' OR 1=1 --",
        "cancel",
        "::",
        "\u202ev1:cancel:x",
        "🙂" * 16,
    )
    for data in forged:
        query = scene.telegram.press(OMAR, OMAR, card.message_id, data, forged=True)
        assert "no longer valid" in (await _answer(scene, query.id)).text
    assert scene.sms.order(order.id).live
    # The word in the middle is for people who read logs; what counts is the row behind the nonce.
    scene.telegram.press(OMAR, OMAR, card.message_id, f"v1:admit:{nonce}", forged=True)
    await scene.hears("#1 is canceled", OMAR)
    assert await scene.count("SELECT count(*) FROM members") == 2


async def test_a_button_is_its_owners_and_the_admins(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    scene.telegram.join(BOB, TEAM_CHAT)
    scene.say(OMAR, "/order whatsapp indonesia", TEAM_CHAT)
    card = await scene.hears("📱", TEAM_CHAT)
    query = scene.telegram.press(BOB, TEAM_CHAT, card.message_id, "Cancel and refund")
    refusal = await _answer(scene, query.id)
    assert "This button is Omar's" in refusal.text
    assert refusal.show_alert
    assert scene.sms.order(scene.remote_id).live
    assert scene.telegram.copy(BOB, TEAM_CHAT, card.message_id, "Copy number") in card.text

    scene.press(ADA, card, "Cancel and refund")
    await scene.hears("#1 is canceled", TEAM_CHAT)
    (line,) = await scene.audited("order.cancel")
    assert (line.actor_id, line.order_id) == (ADA, 1)


async def test_a_button_for_somebody_elses_order_finds_nothing(scene: Scene) -> None:
    await scene.hire(BOB, "Bob")
    order = await scene.order()
    stranger = await _planted(scene, BOB, Press("End", "cancel", {"order": 1}))
    scene.press(BOB, stranger, "End")
    await scene.hears("There is no order #1", BOB)
    gone = await _planted(scene, OMAR, Press("End", "cancel", {"order": 99}))
    scene.press(OMAR, gone, "End")
    await scene.hears("There is no order #99", OMAR)
    assert scene.sms.order(order.id).live


async def test_an_old_button_says_so(scene: Scene) -> None:
    wrong = await scene.ask(OMAR, "/order watsapp indonesia", "Did you mean whatsapp")
    scene.clock.jump(DAY + 60)
    query = scene.telegram.press(OMAR, OMAR, wrong.message_id, "/order whatsapp indonesia")
    refusal = await _answer(scene, query.id)
    assert "no longer valid" in refusal.text
    assert refusal.show_alert
    assert not scene.sms.books.charges


async def test_pressing_twice_and_a_second_delivery_order_once(scene: Scene) -> None:
    shelf = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    (label,) = [text for text in shelf.button_texts if text.startswith("Order the cheapest")]
    first = scene.telegram.press(OMAR, OMAR, shelf.message_id, label)
    second = scene.telegram.press(OMAR, OMAR, shelf.message_id, label)
    assert (await _answer(scene, first.id)).text == ""
    assert (await _answer(scene, second.id)).text == "Already done."
    await scene.hears("📱", OMAR)
    pressed = await scene.count("SELECT max(update_id) FROM inbox")
    for update_id in (pressed - 1, pressed):
        scene.telegram.redeliver(update_id)
    body = {"id": first.id, "from": scene.telegram.users[OMAR].as_json(), "chat_instance": "1", "data": first.data}
    scene.telegram.push_update({"callback_query": {**body, "message": shelf.body}})
    await scene.ask(OMAR, "/whoami", "operator")
    assert len(scene.sms.books.charges) == 1
    assert [line.actor_id for line in await scene.audited("order.place")] == [OMAR]


async def test_the_button_that_spells_it_right_orders_what_it_says(scene: Scene) -> None:
    wrong = await scene.ask(OMAR, "/order whatsapp indonesai max=19000 note=build <7>", "Did you mean indonesia")
    scene.press(OMAR, wrong, "/order whatsapp indonesia max=19000 note=build <7>")
    await scene.hears("build <7>", OMAR)
    order = scene.sms.order(scene.remote_id)
    assert (order.platform, order.country) == ("whatsapp", "indonesia")


async def test_a_failed_press_is_answered_and_may_be_repeated(scene: Scene) -> None:
    order = await scene.order()
    card = await scene.hears(order.phone_number, OMAR, anew=False)
    scene.sms.down = True
    query = scene.telegram.press(OMAR, OMAR, card.message_id, "Cancel and refund")
    assert (await _answer(scene, query.id)).text == ""
    await scene.hears(lambda said: "SMSCode" in said.text, OMAR)
    assert scene.sms.books.orders[order.id].live

    scene.sms.down = False
    scene.clock.jump(120)
    again = scene.telegram.press(OMAR, OMAR, card.message_id, "Cancel and refund")
    await scene.hears("#1 is canceled", OMAR)
    assert (await _answer(scene, again.id)).text == ""
    await scene.reconcile()


async def test_a_refused_order_by_button_may_be_repeated_once_the_reason_is_gone(scene: Scene) -> None:
    shelf = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    (label,) = [text for text in shelf.button_texts if text.startswith("Order the cheapest")]
    await scene.ask(ADA, "/pause lunch", "New orders are stopped")
    scene.press(OMAR, shelf, label)
    await scene.hears("New orders are paused: lunch", OMAR)
    await scene.ask(ADA, "/resume", "New orders are open again")
    scene.press(OMAR, shelf, label)
    await scene.hears("📱", OMAR)
    assert len(scene.sms.books.charges) == 1


async def test_a_press_counts_even_if_its_answer_is_lost(scene: Scene) -> None:
    for number, kind in enumerate((FaultKind.RATE_LIMITED, FaultKind.RESET_BEFORE, FaultKind.ERROR_AFTER), 1):
        order = await scene.order()
        card = await scene.hears(order.phone_number, OMAR)
        scene.telegram.fault(Fault(kind=kind, method="answerCallbackQuery"))
        scene.press(OMAR, card, "Cancel and refund")
        await scene.hears(f"#{number} is canceled", OMAR)


async def test_a_late_cancel_asks_first_and_its_two_buttons_do_what_they_say(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="909090")
    code = await scene.hears("909090", OMAR)
    scene.press(OMAR, code, "End")
    asks = await scene.hears("nothing comes back", OMAR)
    scene.press(OMAR, asks, "Keep it")
    await scene.hears("Kept", OMAR)
    assert scene.sms.order(order.id).live
    assert not scene.telegram.chats[OMAR].messages[asks.message_id].buttons

    asks = await scene.ask(OMAR, "/cancel", "nothing comes back")
    scene.press(OMAR, asks, "End it, nothing comes back")
    await scene.hears("Nothing comes back", OMAR)
    assert not scene.sms.order(order.id).live
    await scene.reconcile()


async def _answer(scene: Scene, query_id: str) -> CallbackAnswer:
    def found() -> list[CallbackAnswer]:
        return [answer for answer in scene.telegram.callback_answers if answer.query_id == query_id]

    await scene.until(lambda: bool(found()))
    return found()[0]


async def _planted(scene: Scene, user_id: int, button: Press) -> Message:
    """A message with a button that the desk would not have shown to that person."""
    markup = await keyboards.make(scene.app.desk, user_id, [[button]])
    await scene.app.chat.bot.send_message(user_id, "planted", reply_markup=markup)
    return scene.telegram.chats[user_id].visible()[-1]
