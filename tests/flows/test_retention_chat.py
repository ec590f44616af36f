"""`retention.chat`: a code leaves the chat again, what it was for stays."""

from pathlib import Path

from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, Message
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

CODE = "48291375"
SHORT = {"chat": 60, "codes": 60}


def shown(scene: Scene, message: Message) -> Message:
    return scene.telegram.chats[message.chat_id].messages[message.message_id]


async def test_a_code_is_edited_out_and_its_order_stays(tmp_path: Path) -> None:
    async with open_scene(tmp_path, retention=SHORT) as scene:
        order = await scene.order("whatsapp indonesia note=build 214")
        scene.sms.arrive(order.id, CODE, text=f"Your code is {CODE}")
        code = await scene.hears(CODE, OMAR)
        scene.clock.jump(40)
        await scene.settle(0.1)
        assert CODE in shown(scene, code).text
        scene.clock.jump(30)
        await scene.until(lambda: CODE not in shown(scene, code).text)
        left = shown(scene, code)
        assert "has had its time" in left.text
        assert "#1 · whatsapp · indonesia" in left.text
        assert "for Omar · build 214" in left.text
        assert "Copy code" not in left.button_texts
        assert not any(CODE in str(button) for button in left.buttons)
        edits = len(left.history)
        scene.clock.jump(60)
        await scene.settle()
        assert len(shown(scene, code).history) == edits
        scene.press(OMAR, left, "End")
        await scene.hears("nothing comes back", OMAR)
        assert await scene.count("SELECT count(*) FROM outbox WHERE erased_at IS NOT NULL") == 1


async def test_a_code_in_a_group_goes_too_and_one_that_cannot_be_edited_is_deleted(tmp_path: Path) -> None:
    async with open_scene(tmp_path, retention=SHORT) as scene:
        await scene.ask(ADA, "/chats allow", "I work in", TEAM_CHAT)
        scene.say(OMAR, "/order whatsapp indonesia", TEAM_CHAT)
        await scene.hears("📱", TEAM_CHAT)
        scene.sms.arrive(scene.remote_id, CODE)
        code = await scene.hears(CODE, TEAM_CHAT)
        del shown(scene, code).body["text"]
        other = await scene.order("telegram vietnam")
        scene.sms.arrive(other.id, "99887766")
        gone = await scene.hears("99887766", OMAR)
        scene.telegram.delete(OMAR, gone.chat_id, gone.message_id)
        scene.clock.jump(70)
        await scene.until(lambda: shown(scene, code).deleted_at is not None)
        erased = "SELECT count(*) FROM outbox WHERE erased_at IS NOT NULL"
        while await scene.count(erased) < 2:
            await scene.settle(0.05)


async def test_an_outage_and_a_restart_only_put_it_off(tmp_path: Path) -> None:
    async with open_scene(tmp_path, retention=SHORT) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, CODE)
        code = await scene.hears(CODE, OMAR)
        telegram, sms, clock = scene.telegram, scene.sms, scene.clock
    clock.jump(3 * 86_400)
    telegram.down = True
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, retention=SHORT) as again:
        await again.settle()
        assert CODE in shown(again, code).text
        telegram.down = False
        await again.until(lambda: CODE not in shown(again, code).text, patience=15)


async def test_by_default_a_code_stays_where_it_was_sent(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    async with open_scene(tmp_path, clock=clock) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, CODE)
        code = await scene.hears(CODE, OMAR)
        clock.jump(2 * 86_400)
        await scene.settle()
        assert CODE in shown(scene, code).text
        assert "eraser" not in {worker.name for worker in scene.app.supervisor.workers}
