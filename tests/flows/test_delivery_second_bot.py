"""A token that Telegram does not leave to this bot: a second one has it too, or it was taken back."""

from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR, Fault
from bot.workers.supervisor import Fatal
from tests.scene import Scene, open_scene

OTHER = "7100000001:" + "x" * 35
"""What Telegram takes for the bot's token in the place of the one that it was started with."""


async def test_a_short_conflict_stops_new_orders_until_an_admin_resumes(scene: Scene) -> None:
    order = await scene.order()
    scene.telegram.fault(Fault(kind="conflict", method="getUpdates", times=3))
    scene.telegram.say(OMAR, "/whoami")  # ends the long poll that is open
    await scene.hears("Another bot runs with my token", ADA, anew=False)
    await scene.ask(OMAR, "/order whatsapp indonesia", "New orders are paused: another bot runs with this token")
    scene.sms.arrive(order.id, code="123321")
    await scene.hears("123321", OMAR)
    (line,) = await scene.audited("desk.pause")
    assert line.actor_id == 0
    await scene.ask(ADA, "/resume", "New orders are open again")
    await scene.order()
    assert sum("Another bot" in text for text in scene.said_by_bot(ADA)) == 1


async def test_one_conflict_is_no_reason_to_stop(scene: Scene) -> None:
    """A restart leaves the old poll open for a moment."""
    scene.telegram.fault(Fault(kind="conflict", method="getUpdates"))
    scene.telegram.say(OMAR, "/whoami")
    await scene.until(lambda: bool(scene.telegram.plan.fired))
    await scene.order()
    assert await scene.audited("desk.pause") == []


async def test_a_second_bot_that_stays_makes_this_one_give_way_and_stay_paused(tmp_path: Path) -> None:
    async def until_it_gives_way() -> Scene:
        async with open_scene(tmp_path) as scene:
            scene.telegram.fault(Fault(kind="conflict", method="getUpdates", times=None))
            scene.telegram.say(OMAR, "/whoami")
            await scene.hears("Another bot runs with my token", ADA, anew=False)
            with pytest.raises(Fatal, match="stop one of the two"):
                await scene.run
            seen.append(scene)
        raise AssertionError("the desk has not told its caller why it stopped")

    seen: list[Scene] = []
    with pytest.raises(Fatal):
        await until_it_gives_way()
    (before,) = seen
    before.telegram.plan.scripted.clear()
    async with open_scene(
        tmp_path, telegram=before.telegram, sms=before.sms, clock=before.clock, members=False
    ) as after:
        await after.ask(OMAR, "/order whatsapp indonesia", "New orders are paused")
        await after.ask(ADA, "/resume", "New orders are open again")
        await after.order()


async def test_a_token_that_never_worked_ends_the_desk_with_what_to_mend(tmp_path: Path) -> None:
    async def until_it_ends() -> None:
        async with open_scene(tmp_path, members=False) as scene:
            scene.telegram.token = OTHER
            await scene.run

    with pytest.raises(Fatal, match=r"Telegram rejects telegram\.token; put the token that @BotFather shows"):
        await until_it_ends()


async def test_a_token_that_is_taken_back_for_a_while_is_tried_on(scene: Scene) -> None:
    order = await scene.order()
    known, scene.telegram.token = scene.telegram.token, OTHER
    scene.say(OMAR, "/whoami")  # ends the long poll that is open
    scene.sms.arrive(order.id, code="123321")
    await scene.written("SELECT count(*) FROM outbox WHERE kind = 'code' AND attempts > 2")
    scene.telegram.token = known
    await scene.hears("123321", OMAR, anew=False)
    await scene.hears("operator", OMAR, anew=False)
    await scene.ask(OMAR, "/whoami", "operator")
