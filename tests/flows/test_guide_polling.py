"""Step 4 of the guide: looking every five seconds, and what each status means for the member and for the money."""

from pathlib import Path

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import OrderStatus
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_scene

READ = ("GET", "/v1/orders/{id}")


def count(scene: Scene, words: str) -> int:
    """How many of the bot's messages to Omar hold these words."""
    return sum(words in text for text in scene.said_by_bot(OMAR))


async def test_a_waiting_order_is_looked_at_every_five_seconds(scene: Scene) -> None:
    await scene.order()
    requests, since = scene.sms.books.requests[READ], scene.clock.now()
    await scene.clock.sleep(30)
    looks, seconds = scene.sms.books.requests[READ] - requests, scene.clock.now() - since
    assert 0.7 * seconds / 5 <= looks <= seconds / 5 + 1
    assert count(scene, "#1") == 1


async def test_many_orders_are_looked_at_evenly_and_each_every_five_seconds(scene: Scene) -> None:
    for country in ("indonesia", "vietnam", "poland"):
        await scene.order(f"whatsapp {country}")
    requests, since = scene.sms.books.requests[READ], scene.clock.now()
    await scene.clock.sleep(25)
    looks, seconds = scene.sms.books.requests[READ] - requests, scene.clock.now() - since
    assert 0.7 * 3 * seconds / 5 <= looks <= 3 * seconds / 5 + 3


async def test_a_code_comes_once_and_the_order_completes_by_itself(scene: Scene) -> None:
    order = await scene.order()
    card = await scene.hears("📱", OMAR)
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    await scene.until(lambda: "✅ The code is here" in card.text)
    scene.sms.complete(order.id)
    await scene.until(lambda: "Completed." in card.text)
    reads = scene.sms.books.requests[READ]
    await scene.clock.sleep(20)
    assert scene.sms.books.requests[READ] == reads
    assert count(scene, "847291") == 1
    assert scene.sms.books.spent == order.price
    await scene.ask(OMAR, "/orders", "No live orders")
    await scene.reconcile()


async def test_a_code_first_seen_in_the_completed_answer_is_a_code_all_the_same(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    scene.sms.complete(order.id)
    await scene.hears("847291", OMAR)
    await scene.settle()
    assert count(scene, "847291") == 1
    await scene.ask(OMAR, "/orders", "No live orders")
    await scene.reconcile()


async def test_an_order_completed_without_a_code_is_told_because_it_was_paid(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.complete(order.id)
    told = await scene.hears("#1 was completed", OMAR)
    assert "without a code" in told.text
    assert "Nothing comes back" in told.text
    await scene.reconcile()


async def test_an_order_canceled_from_outside_is_told_and_refunded_once(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.cancel_order(order.id)
    told = await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
    assert "Order another" in told.button_texts
    await scene.settle()
    assert count(scene, "came back") == 2, "the message and the card"
    assert scene.sms.books.spent == 0
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    await scene.reconcile()


async def test_an_order_canceled_from_outside_after_its_code_costs_what_it_cost(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    scene.sms.cancel_order(order.id)
    await scene.hears("847291", OMAR)
    await scene.hears("#1 is canceled. Nothing comes back", OMAR)
    assert scene.sms.books.spent == order.price
    await scene.reconcile()


async def test_an_expired_order_is_released_and_the_refund_is_marked_as_assumed(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.expire(order.id)
    told = await scene.hears("#1 expired without a code. Rp 4.200 came back.", OMAR)
    assert "compare with /balance" in told.text
    await scene.settle()
    assert count(scene, "expired without a code") == 1
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    await scene.reconcile()


async def test_an_order_that_expires_with_its_code_says_so(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    scene.sms.expire(order.id)
    told = await scene.hears("#1 expired", OMAR)
    assert "without a code" not in told.text
    assert "the code had arrived" in told.text
    await scene.reconcile()


async def test_an_unknown_status_is_told_once_and_the_code_still_comes(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.set_status(order.id, "ON_<HOLD>")
    told = await scene.hears("SMSCode reports a status I do not know, “ON_<HOLD>”", OMAR)
    assert "I keep watching" in told.text
    reads = scene.sms.books.requests[READ]
    await scene.until(lambda: scene.sms.books.requests[READ] >= reads + 3)
    assert count(scene, "a status I do not know") == 1
    await scene.reconcile()
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    assert scene.sms.order(order.id).status == OrderStatus.OTP_RECEIVED
    await scene.reconcile()


async def test_an_order_that_smscode_loses_is_told_and_watched_on_until_it_is_back(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(50.0, NOON)) as scene:
        await lose_and_find_an_order(scene)


async def lose_and_find_an_order(scene: Scene) -> None:
    order = await scene.order()
    lost = scene.sms.books.orders.pop(order.id)
    alert = await scene.hears("SMSCode no longer knows order #1", ADA)
    assert "/resolve 1 charged" in alert.text
    told = await scene.hears("SMSCode does not know #1 any more", OMAR)
    assert "The admins know" in told.text
    await scene.reconcile()
    scene.sms.books.orders[order.id] = lost
    # The next look comes a minute later; each one after it must come within seconds, however the machine stutters.
    reads = scene.sms.books.requests[READ]
    await scene.until(lambda: scene.sms.books.requests[READ] > reads)
    looks = scene.sms.books.requests[READ], scene.clock.now()
    await scene.until(lambda: scene.sms.books.requests[READ] >= looks[0] + 5, patience=30)
    assert scene.clock.now() - looks[1] < 5 * 60, "back at the usual pace, not a look a minute"
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    assert count(scene, "does not know #1") == 1
    await scene.reconcile()
