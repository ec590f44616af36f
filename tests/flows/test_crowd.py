"""Fifty members at once at the team's limit: SMSCode's own books show exactly as many orders as it allows."""

import asyncio
from pathlib import Path

import pytest

from bot.domain.errors import LimitReached
from bot.domain.limits import LimitName
from bot.sandbox.bot_api import ADA, Message
from bot.sandbox.sms_api import Contract
from bot.services import access, ordering
from bot.services.ordering import OrderCommand
from tests.scene import Scene, open_scene

PRICE = 1000
CROWD = range(6000, 6050)
ALLOWED = 12


@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_fifty_members_at_once_get_exactly_what_the_team_may_spend(tmp_path: Path, contract: Contract) -> None:
    """At the exact limit, one rupiah below it, one above it."""
    async with open_scene(tmp_path, contract=contract) as scene:
        scene.sms.clear_catalog()
        scene.sms.set_product("indonesia", "whatsapp", PRICE, 1000)
        for user_id in CROWD:
            await scene.hire(user_id, f"Member {user_id}")
        for off, allowed in ((0, ALLOWED), (-1, ALLOWED - 1), (1, ALLOWED)):
            spent, charges = scene.sms.books.spent, len(scene.sms.books.charges)
            cap = spent + ALLOWED * PRICE + off
            await access.set_limit(scene.app.desk, ADA, None, LimitName.TEAM_DAILY, cap)
            # The chat adds nothing to the race but time: once is enough, beside the crowd of `test_admin_limits`.
            in_chat = contract == "official" and off == 0
            assert await (_all_type(scene) if in_chat else _all_place(scene, off)) == allowed
            assert len(scene.sms.books.charges) - charges == allowed
            assert scene.sms.books.spent == spent + allowed * PRICE <= cap
            assert len({order.phone_number for order in scene.sms.live_orders()}) == len(scene.sms.books.charges)
            await scene.reconcile()


async def _all_type(scene: Scene) -> int:
    """Everybody types the command; return how many got a number. The others read which limit it was."""
    for user_id in CROWD:
        scene.say(user_id, "/order whatsapp indonesia")
    answers = await asyncio.gather(*(scene.hears(_answered, user_id, patience=30) for user_id in CROWD))
    numbers = [answer for answer in answers if "📱" in answer.text]
    assert all("for the team per day" in answer.text for answer in answers if answer not in numbers)
    return len(numbers)


async def _all_place(scene: Scene, off: int) -> int:
    """The same past the chat; return how many got a number."""
    commands = [
        OrderCommand(f"crowd-{off}-{user_id}", user_id, user_id, None, "whatsapp", ("indonesia",)) for user_id in CROWD
    ]
    desk = scene.app.desk
    outcomes = await asyncio.gather(*(ordering.place(desk, command) for command in commands), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, LimitReached)]
    assert {limit.name for limit in refused} == {LimitName.TEAM_DAILY}
    placed = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(placed) + len(refused) == len(CROWD)
    return len(placed)


def _answered(said: Message) -> bool:
    return "📱" in said.text or "limit" in said.text
