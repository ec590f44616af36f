"""The main job: from a command to a code."""

from bot.sandbox.bot_api import OMAR
from tests.scene import Scene


async def test_an_order_brings_a_number_and_then_its_code(scene: Scene) -> None:
    scene.say(OMAR, "/order whatsapp indonesia")
    card = await scene.hears("📱", OMAR)
    order = scene.sms.order(scene.remote_id)
    assert order.phone_number in card.text
    scene.sms.arrive(order.id, code="847291")
    message = await scene.hears("847291", OMAR)
    assert message.entity_texts("code")[0] == "847291"
    assert "Copy code" in message.button_texts
