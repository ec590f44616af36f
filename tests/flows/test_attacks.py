"""Attacks by numbers: one button a hundred times, and thousands of strangers at once."""

import asyncio
import os
import resource
import time
from pathlib import Path

import pytest

from bot.sandbox.bot_api import OMAR
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_scene

STRANGERS = int(os.environ.get("OTPDESK_STRANGERS", "1500"))
"""How many; 30000 is a thousand a second for half a minute."""


@pytest.mark.timeout(150)
async def test_one_button_pressed_a_hundred_times_is_one_order(scene: Scene) -> None:
    shelf = await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
    (label,) = [text for text in shelf.button_texts if text.startswith("Order the cheapest")]
    for _ in range(100):
        scene.telegram.press(OMAR, OMAR, shelf.message_id, label)
    await scene.hears("📱", OMAR)
    async with asyncio.timeout(60):
        while scene.telegram.updates.pending or await scene.count("SELECT count(*) FROM inbox WHERE state = 'pending'"):
            await asyncio.sleep(0.05)
    assert await scene.count("SELECT count(*) FROM inbox WHERE callback_id IS NOT NULL") == 100
    assert len(scene.sms.books.charges) == 1
    await scene.reconcile()


@pytest.mark.timeout(240)
async def test_a_flood_of_many_strangers_is_bounded_and_delays_no_member(tmp_path: Path) -> None:
    """In real time, because the bound is one a minute."""
    async with open_scene(tmp_path, clock=FastClock(1.0, NOON)) as scene:
        before = await scene.count("SELECT count(*) FROM inbox")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.monotonic()
        for number in range(STRANGERS):
            scene.telegram.push_update({"message": _from_stranger(scene, 10_000_000 + number, number)})
        waits = []
        for _ in range(3):
            asked_at = time.monotonic()
            await scene.ask(OMAR, "/whoami", "operator")
            waits.append(time.monotonic() - asked_at)
        await scene.until(lambda: not scene.telegram.updates.pending, patience=120)
        most = 240 * (2 + int((time.monotonic() - started) / 60)) + 3
        assert 3 < await scene.count("SELECT count(*) FROM inbox") - before <= most
        assert await scene.count("SELECT count(*) FROM access_requests") <= most
        assert len([call for call in scene.telegram.calls if call.method == "sendMessage"]) <= most
        assert max(waits) < 4, waits
        assert not scene.sms.books.requests
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000 + 10 * STRANGERS


def _from_stranger(scene: Scene, user_id: int, number: int) -> dict[str, object]:
    return {
        "message_id": number + 1,
        "date": int(scene.clock.now()),
        "chat": {"id": user_id, "type": "private", "first_name": "Nobody"},
        "from": {"id": user_id, "is_bot": False, "first_name": "Nobody"},
        "text": "/start",
        "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
    }
