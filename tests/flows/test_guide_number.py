"""Step 3 of the guide: the number to copy, how long it is ours, and the advice to request the SMS at once."""

import asyncio
from datetime import UTC, datetime

from bot.sandbox.bot_api import ADA, OMAR
from tests.scene import Scene

CREATE = ("POST", "/v1/orders")


async def test_the_card_has_the_number_to_copy_the_countdown_and_what_to_do_now(scene: Scene) -> None:
    order = await scene.order("whatsapp indonesia note=login <test>, build 214")
    card = await scene.hears("📱", OMAR)
    assert card.entity_texts("code") == [order.phone_number]
    assert scene.telegram.copy(OMAR, OMAR, card.message_id, "Copy number") == order.phone_number
    (countdown,) = [entity for entity in card.entities if entity["type"] == "date_time"]
    assert countdown["unix_time"] == int(order.expires_at)
    (shown,) = card.entity_texts("date_time")
    assert shown == f"{datetime.fromtimestamp(order.expires_at + 7 * 3600, UTC):at %H:%M}"
    assert "Request the SMS now" in card.text
    assert "for Omar · login <test>, build 214" in card.text
    assert "Cancel and refund" in card.button_texts
    listed = await scene.ask(OMAR, "/orders", order.phone_number)
    assert "waiting for the SMS, expires at" in listed.text
    assert "build 214" in listed.text
    scene.sms.arrive(order.id, code="847291")
    code = await scene.hears("🔑", OMAR)
    assert "for Omar · login <test>, build 214" in code.text
    assert order.phone_number in code.text
    assert scene.telegram.copy(OMAR, OMAR, code.message_id, "Copy code") == "847291"
    assert code.entity_texts("code")[0] == "847291"
    await scene.until(lambda: "Request the SMS now" not in card.text)
    assert [entity for entity in card.entities if entity["type"] == "date_time"] == []


async def test_two_members_who_order_at_once_each_get_their_own_number_and_code(scene: Scene) -> None:
    scene.say(OMAR, "/order whatsapp indonesia note=Omar's")
    scene.say(ADA, "/order whatsapp indonesia note=Ada's")
    cards = {person: await scene.hears("📱", person) for person in (OMAR, ADA)}
    orders = {order.phone_number: order for order in scene.sms.live_orders()}
    numbers = {person: card.entity_texts("code")[0] for person, card in cards.items()}
    assert set(numbers.values()) == set(orders)
    assert len(orders) == 2
    for person, code in ((OMAR, "111111"), (ADA, "222222")):
        scene.sms.arrive(orders[numbers[person]].id, code=code)
    await asyncio.gather(scene.hears("111111", OMAR), scene.hears("222222", ADA))
    assert not [text for text in scene.said_by_bot(OMAR) if "222222" in text or "Ada's" in text]
    assert not [text for text in scene.said_by_bot(ADA) if "111111" in text or "Omar's" in text]
    assert scene.sms.books.requests[CREATE] == 2
    await scene.reconcile()


async def test_the_same_update_delivered_twice_places_one_order(scene: Scene) -> None:
    message = scene.say(OMAR, "/order whatsapp indonesia")
    (update,) = [
        update for update in scene.telegram.updates.pending if update["message"]["message_id"] == message.message_id
    ]
    scene.telegram.redeliver(update["update_id"])
    await scene.hears("📱", OMAR)
    scene.telegram.redeliver(update["update_id"])
    # The same message under another number of update is the same message.
    scene.telegram.push_update({"message": update["message"]})
    await scene.ask(OMAR, "/orders", "#1 ·")
    assert scene.sms.books.requests[CREATE] == 1
    assert len([text for text in scene.said_by_bot(OMAR) if "📱" in text and "Request the SMS now" in text]) == 1
    await scene.reconcile()
