"""Attacks by numbers: one button a hundred times, and thousands of strangers at once."""

import os
import resource
import time

from bot.sandbox.bot_api import OMAR
from tests.scene import Scene

STRANGERS = int(os.environ.get("OTPDESK_STRANGERS", "1500"))
"""How many; 30000 is a thousand a second for half a minute."""


async def test_one_button_pressed_a_hundred_times_is_one_order(scene: Scene) -> None:
    shelf = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    (label,) = [text for text in shelf.button_texts if text.startswith("Order the cheapest")]
    for _ in range(100):
        scene.telegram.press(OMAR, OMAR, shelf.message_id, label)
    await scene.hears("📱", OMAR)
    await scene.until(lambda: len(scene.telegram.callback_answers) >= 100, patience=20)
    await scene.settle()
    assert len(scene.sms.books.charges) == 1
    await scene.reconcile()


async def test_a_flood_of_many_strangers_is_bounded_and_delays_no_member(scene: Scene) -> None:
    before = await scene.count("SELECT count(*) FROM inbox")
    await scene.ask(OMAR, "/whoami", "operator")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(STRANGERS):
        scene.telegram.push_update({"message": _from_stranger(scene, 10_000_000 + number, number)})
    waits = []
    for _ in range(4):
        asked_at = time.monotonic()
        await scene.ask(OMAR, "/whoami", "operator")
        waits.append(time.monotonic() - asked_at)
    await scene.until(lambda: not scene.telegram.updates.pending, patience=60)
    rows = await scene.count("SELECT count(*) FROM inbox") - before
    assert rows <= 320, "strangers fill no more than a few hundred rows, however many they are"
    assert await scene.count("SELECT count(*) FROM access_requests") <= 320
    assert max(waits) < 4, waits
    assert not scene.sms.books.requests
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000 + 10 * STRANGERS
    print("waits", [round(wait, 2) for wait in waits], "rows", rows)  # noqa: T201


def _from_stranger(scene: Scene, user_id: int, number: int) -> dict[str, object]:
    return {
        "message_id": number + 1,
        "date": int(scene.clock.now()),
        "chat": {"id": user_id, "type": "private", "first_name": "Nobody"},
        "from": {"id": user_id, "is_bot": False, "first_name": "Nobody"},
        "text": "/start",
        "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
    }
