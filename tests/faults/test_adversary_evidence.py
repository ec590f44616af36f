"""The evidence under attack: money that others move, orders nobody can see, clocks that jump, and stale permissions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind
from bot.services import evidence
from bot.services.evidence import GRACE_SECONDS
from storage import orders
from tests.clocks import JumpyClock
from tests.scene import HURRY, NOON, SPEED, Scene, open_hurried_scene, open_scene

BOB = 2003
CREATE = ("POST", "/v1/orders")
CREATES = "POST /v1/orders"


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A desk in a hurry that gives SMSCode half a real second for its answer."""
    async with open_hurried_scene(tmp_path, monkeypatch) as opened:
        yield opened


async def test_money_that_comes_back_for_a_lost_number_is_no_proof_for_the_next_order(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATES))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.hears("#1 was paid", OMAR)
    (lost,) = scene.sms.live_orders()
    scene.sms.faults.add(Fault(kind=FaultKind.SILENCE_AFTER, route=CREATES))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.until(lambda: len(scene.sms.books.orders) == 2)
    scene.sms.expire(lost.id)  # nobody here can know: its id was in the answer that never came
    await scene.hears("Order #2 needs your word", ADA, anew=False)
    await scene.ask(OMAR, "/whoami", "Rp 4.200 held")
    await scene.ask(ADA, "/resolve 2 charged", "#2 is settled")


async def test_an_order_that_cannot_be_read_does_not_stop_the_team_for_ever(scene: Scene) -> None:
    await scene.order("whatsapp vietnam")
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/orders/{id}", times=100_000))
    scene.sms.faults.add(Fault(kind=FaultKind.RESET_BEFORE, route=CREATES))
    await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
    await scene.hears("Order #2 needs your word", ADA, anew=False, patience=20)
    await scene.ask(ADA, "/resolve 2 refunded", "#2 is settled")
    scene.sms.faults.clear()
    await scene.order()


async def test_a_date_set_forward_is_not_the_grace_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sms.client.TIMEOUT", httpx.Timeout(5.0, read=0.3))
    clock = JumpyClock(SPEED, NOON)
    async with open_scene(tmp_path, clock=clock) as scene:
        # SMSCode takes its time and charges after the desk has given up on the answer.
        scene.sms.faults.add(Fault(kind=FaultKind.SLOW, route=CREATES, seconds=2.0))
        await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
        clock.set_by = 3600.0
        await scene.hears("#1 was paid", OMAR)
        await scene.reconcile()


async def test_a_date_set_back_does_not_stop_the_team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sms.client.TIMEOUT", httpx.Timeout(5.0, read=0.3))
    clock = JumpyClock(HURRY, NOON)
    async with open_scene(tmp_path, clock=clock) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.SILENCE, route=CREATES))
        await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
        clock.set_by = -6 * 3600.0
        asked_at = clock.monotonic()
        await scene.hears("#1 was not placed", OMAR)
        assert clock.monotonic() - asked_at < GRACE_SECONDS + 60
        await scene.order()


async def _let_bob_wait_for_his_turn(scene: Scene) -> None:
    """Omar's create is on its way and slow; Bob's holds its money and waits behind it."""
    await scene.hire(BOB, "Bob")
    scene.sms.faults.add(Fault(kind=FaultKind.LATE, route=CREATES, seconds=1.0))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.until(lambda: scene.sms.books.requests[CREATE] == 1)
    scene.say(BOB, "/order whatsapp vietnam")
    await _held(scene, 2)


async def test_who_waits_for_their_turn_is_not_served_after_a_pause(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        await _let_bob_wait_for_his_turn(scene)
        await scene.ask(ADA, "/pause audit week", "audit week")
        await scene.hears("audit week", BOB)
        await scene.hears("📱", OMAR)
        assert scene.sms.books.requests[CREATE] == 1
        await scene.reconcile()


@pytest.mark.parametrize("lost", ["/revoke {}", "/role {} viewer"])
async def test_who_waits_for_their_turn_is_not_served_after_losing_the_right(tmp_path: Path, lost: str) -> None:
    async with open_scene(tmp_path) as scene:
        await _let_bob_wait_for_his_turn(scene)
        await scene.ask(ADA, lost.format(BOB), "Bob")
        await scene.hears("📱", OMAR)
        await scene.settle()
        assert scene.sms.books.requests[CREATE] == 1
        await scene.reconcile()


async def test_an_admin_cannot_end_an_order_that_has_come_back_meanwhile(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        order = await scene.order()
        database = scene.app.desk.database
        known = scene.sms.books.orders.pop(order.id)
        await scene.hears("no longer knows order #1", ADA, anew=False)
        resolving = asyncio.create_task(evidence.resolve(scene.app.desk, 1, charged=False, admin_id=ADA))
        # The look that finds it again comes between the admin's look and the admin's word.
        for _ in range(2):
            await asyncio.sleep(0)
        scene.sms.books.orders[order.id] = known
        await database.transact(lambda connection: connection.execute("UPDATE orders SET needs_admin = 0 WHERE id = 1"))
        await asyncio.gather(resolving, return_exceptions=True)
        found = await database.read(lambda connection: orders.get(connection, 1))
        assert found is not None
        assert found.state == "waiting"
        assert found.refunded == 0
        await scene.reconcile()


async def _held(scene: Scene, count: int) -> None:
    while await scene.count("SELECT count(*) FROM orders WHERE held > 0") < count:
        await asyncio.sleep(0.005)
