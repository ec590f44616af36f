"""Codes in private although they were ordered in a group: where they go, and what happens when they cannot."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT
from tests.scene import Scene, open_scene

NADIA = 2004


@pytest.fixture
async def discreet(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk that writes codes to their orderers in private."""
    rules = {"cancel_before_expiry": 0, "code_delivery": "dm"}
    async with open_scene(tmp_path, ordering=rules) as scene:
        yield scene


async def test_the_group_reads_where_the_code_went_and_never_the_code(discreet: Scene) -> None:
    scene = discreet
    scene.say(OMAR, "/order whatsapp indonesia", TEAM_CHAT)
    card = await scene.hears("📱", TEAM_CHAT)
    assert "The code goes to Omar in private." in card.text
    scene.sms.arrive(scene.remote_id, code="847291")
    code = await scene.hears("847291", OMAR)
    assert "Copy code" in code.button_texts
    await scene.until(lambda: "The code goes to Omar in private, as another SMS to this number would." in card.text)
    assert not any("847291" in said for said in scene.said_by_bot(TEAM_CHAT))

    scene.say(OMAR, "/cancel", reply_to=code.message_id)
    asks = await scene.hears("nothing comes back", OMAR)
    scene.press(OMAR, asks, "End it")
    await scene.hears("#1 is canceled", TEAM_CHAT)

    order = await scene.order()
    assert "The code comes here by itself." in (await scene.hears("📱", OMAR)).text
    scene.sms.arrive(order.id, code="112233")
    await scene.hears("112233", OMAR)


async def test_who_cannot_be_written_to_learns_in_the_group_how_to_get_the_code(discreet: Scene) -> None:
    scene = discreet
    await scene.hire(NADIA, "Nadia")
    scene.telegram.join(NADIA, TEAM_CHAT)
    scene.telegram.chats[NADIA].started = False
    scene.say(NADIA, "/order whatsapp indonesia", TEAM_CHAT)
    await scene.hears("📱", TEAM_CHAT)
    scene.sms.arrive(scene.remote_id, code="563412")
    held = await scene.hears("I cannot write to you in private", TEAM_CHAT)
    assert [entity["user"]["id"] for entity in held.entities if entity["type"] == "text_mention"] == [NADIA]
    assert held.button("Open the private chat")["url"] == "https://t.me/otpdesk_bot?start=code"
    await scene.hears("563412", ADA)
    await scene.settle()
    assert sum("I cannot write to you" in said for said in scene.said_by_bot(TEAM_CHAT)) == 1
    assert not any("563412" in said for said in scene.said_by_bot(TEAM_CHAT))

    before = scene.clock.now()
    scene.telegram.chats[NADIA].started = True
    scene.say(NADIA, "/start code")
    await scene.hears("563412", NADIA)
    assert scene.clock.now() - before < 55


async def test_the_code_of_somebody_who_was_taken_off_the_list_goes_to_the_admins(discreet: Scene) -> None:
    scene = discreet
    await scene.hire(NADIA, "Nadia", Role.OPERATOR)
    scene.telegram.join(NADIA, TEAM_CHAT)
    scene.say(NADIA, "/order whatsapp indonesia", TEAM_CHAT)
    await scene.hears("📱", TEAM_CHAT)
    await scene.ask(ADA, f"/revoke {NADIA}", "is off the list")
    scene.sms.arrive(scene.remote_id, code="909192")
    await scene.hears("909192", ADA)
    await scene.settle()
    assert not any("909192" in said for said in scene.said_by_bot(NADIA))
    assert not any("cannot write to you" in said for said in scene.said_by_bot(TEAM_CHAT))
