"""Three days without Telegram and without SMSCode: nothing is lost, nothing is bought twice, nothing piles up."""

import asyncio
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR, Fault
from bot.sandbox.sms_api import Contract
from storage import ledger
from tests.clocks import ElasticClock
from tests.scene import NOON, SPEED, Scene, open_scene

BOB, CARLA, DAN = 2003, 2004, 2005
DAYS = 3
HOUR = 3600
OUTAGE_SPEED = 200_000.0
TABLES = ("inbox", "outbox", "orders", "entry", "audit", "sms", "settings", "buttons")


@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_after_three_days_without_both_servers_everything_is_told_once(
    tmp_path: Path, contract: Contract
) -> None:
    clock = ElasticClock(SPEED, NOON)
    async with open_scene(tmp_path, clock=clock, contract=contract) as scene:
        for user_id, name in ((BOB, "Bob"), (CARLA, "Carla"), (DAN, "Dan")):
            await scene.hire(user_id, name)
        answered, silent = await scene.order(), await scene.order("telegram vietnam", BOB)
        seen = await scene.order("whatsapp vietnam", CARLA)
        scene.telegram.fault(Fault(kind="error", method="sendMessage", chat_id=OMAR, times=None))
        scene.telegram.say(OMAR, "/whoami")
        await scene.written("SELECT count(*) FROM outbox WHERE kind = 'text'")  # its answer waits as well
        scene.telegram.down = True
        scene.telegram.plan.scripted.clear()
        sms = scene.sms.arrive(seen.id, code="161803")
        await scene.until(lambda: sms.shown_at is not None)
        await scene.written("SELECT count(*) FROM sms")  # its letter waits for Telegram
        scene.say(DAN, "/order whatsapp philippines")
        scene.sms.down = True
        scene.sms.arrive(answered.id, code="271828")
        await _pass_days(scene)

        scene.sms.down = scene.telegram.down = False
        late = await scene.hears("271828", OMAR, patience=30)
        await scene.hears("161803", CARLA, patience=30)
        await scene.hears("#2 expired", BOB, patience=30)
        await scene.hears("📱", DAN, patience=30)
        await _at_rest(scene)
        assert late.sent_at > NOON + DAYS * 86_400
        assert not scene.sms.order(silent.id).live
        heard = {user_id: scene.said_by_bot(user_id) for user_id in (OMAR, BOB, CARLA, DAN)}
        assert sum("271828" in text for text in heard[OMAR]) == 1
        assert sum("161803" in text for text in heard[CARLA]) == 1
        assert sum("#2 expired" in text for text in heard[BOB]) == 1
        assert sum("📱" in text for text in heard[DAN]) == 1
        assert len(scene.sms.books.charges) == 4
        await scene.settle()
        assert await scene.app.desk.database.read(ledger.discrepancies) == []
        assert len(scene.said_by_bot(ADA)) < 12, scene.said_by_bot(ADA)


async def test_a_chat_that_must_wait_for_an_hour_holds_nobody_else_up(tmp_path: Path) -> None:
    clock = ElasticClock(SPEED, NOON)
    async with open_scene(tmp_path, clock=clock) as scene:
        await scene.hire(BOB, "Bob")
        blocked = await scene.order()
        scene.telegram.fault(Fault(kind="rate_limited", method="sendMessage", chat_id=OMAR, retry_after=HOUR))
        scene.sms.arrive(blocked.id, code="314159")
        await scene.until(lambda: bool(scene.telegram.plan.fired))
        refused_at = scene.telegram.plan.fired[0].at
        for code in ("111222", "333444"):
            other = await scene.order("telegram vietnam", BOB)
            scene.sms.arrive(other.id, code=code)
            assert (await scene.hears(code, BOB)).sent_at < refused_at + HOUR / 2
        assert not any("314159" in text for text in scene.said_by_bot(OMAR))
        clock.run_at(OUTAGE_SPEED / 100)
        late = await scene.hears("314159", OMAR, patience=30)
        clock.run_at(SPEED)
        assert late.sent_at >= refused_at + HOUR
        assert "Sent again" not in late.text


async def _pass_days(scene: Scene) -> None:
    """Let the days go by, and look whether anything grows with them."""
    clock = scene.clock
    assert isinstance(clock, ElasticClock)
    before, tasks = await _rows(scene), len(asyncio.all_tasks())
    ends_at = clock.monotonic() + DAYS * 86_400
    clock.run_at(OUTAGE_SPEED)
    while clock.monotonic() < ends_at:
        await asyncio.sleep(0.05)
    clock.run_at(SPEED)
    # What was under way when the servers went may still add its own rows; whatever grew with the days added thousands.
    grown = {name: count - before[name] for name, count in (await _rows(scene)).items() if count > before[name] + 20}
    assert grown == {}
    assert len(asyncio.all_tasks()) < tasks + 20


async def _rows(scene: Scene) -> dict[str, int]:
    return {table: await scene.count(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608 (our own names)


async def _at_rest(scene: Scene) -> None:
    """Wait until no letter and no command waits any more."""
    waiting = "(SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending'))"
    waiting += " + (SELECT count(*) FROM inbox WHERE state = 'pending')"
    await scene.written(f"SELECT {waiting} = 0")
