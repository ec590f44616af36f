"""Attacks by numbers: one button a hundred times."""

import asyncio

import pytest

from bot.sandbox.bot_api import OMAR
from tests.scene import Scene


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
