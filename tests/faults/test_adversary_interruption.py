"""A create that is interrupted anywhere, and a disk that comes and goes: one command, at most one paid order."""

import asyncio
import contextlib
import random
from pathlib import Path

import httpx
import pytest

from bot.domain.errors import AccountBusy
from bot.sandbox.bot_api import OMAR
from bot.sandbox.sms_api import SmsWorld
from bot.services import evidence, ordering
from bot.services.ordering import OrderCommand
from storage import ledger, orders
from tests.clocks import FastClock
from tests.faults.disk import FULL, Disk
from tests.scene import HURRY, NOON, Scene, open_scene

ROUNDS = 12
ROOMY = {"daily": 10**6, "team_daily": 10**6, "active_orders": 100}


def command(number: int) -> OrderCommand:
    return OrderCommand(f"t-{number}", OMAR, OMAR, None, "whatsapp", ("indonesia",))


def _open(folder: Path) -> contextlib.AbstractAsyncContextManager[Scene]:
    """A hurried desk whose numbers live on: an expiry would pay back what the desk cannot know of any more."""
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, order_lifetime=10**7)
    return open_scene(folder, clock=clock, sms=sms, limits=ROOMY)


async def test_a_create_cancelled_at_any_moment_is_never_paid_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.sms.client.TIMEOUT", httpx.Timeout(5.0, read=2.0))
    async with _open(tmp_path) as scene:
        desk = scene.app.desk
        for number in range(ROUNDS):
            paid = len(scene.sms.books.charges)
            task = asyncio.create_task(ordering.place(desk, command(number)))
            await asyncio.sleep(number * 0.003)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await evidence.recover(desk)
            with contextlib.suppress(AccountBusy):
                await ordering.place(desk, command(number))  # as the inbox does after a restart
            await _decided(scene)
            assert len(scene.sms.books.charges) - paid <= 1, number
        assert not desk.placing
        assert not desk.creating.locked()
        await scene.reconcile()


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_disk_that_comes_and_goes_loses_no_command_and_buys_none_twice(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with Disk() as disk:
        async with _open(tmp_path) as scene:
            people = [await scene.hire(9000 + number, f"Member {number}") for number in range(6)]
            for user_id in people:
                scene.say(user_id, "/order whatsapp indonesia")
            for _ in range(60):
                await asyncio.sleep(dice.uniform(0.002, 0.02))
                disk.refusal = 0 if disk.refusal else FULL
            disk.refusal = 0
            for user_id in people:
                await scene.hears("", user_id, patience=30)
            await _decided(scene)
            await _dealt_with(scene)
            assert len(scene.sms.books.charges) <= len(people)
            assert await scene.app.desk.database.read(ledger.discrepancies) == []
            await scene.reconcile()


async def _decided(scene: Scene) -> None:
    """Wait until no order is on its way or unclear any more."""
    async with asyncio.timeout(20):
        while True:
            read = scene.app.desk.database.read
            if not [*await read(orders.undecided), *await read(orders.interrupted)]:
                return
            await asyncio.sleep(0.02)


async def _dealt_with(scene: Scene) -> None:
    """Wait until every command is marked as done; a number may be told before its command is."""
    await scene.written("SELECT count(*) = 0 FROM inbox WHERE state <> 'done'")
