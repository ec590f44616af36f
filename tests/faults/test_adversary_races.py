"""Everybody at once on one order: commands, the watcher, the evidence, the housekeeping and SMSCode itself."""

import asyncio
import contextlib
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import DeskError
from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind, SmsApiError
from bot.services import evidence, ordering, tracking
from bot.sms.port import Priority
from bot.workers.housekeeping import Housekeeping
from storage import ledger, orders
from storage.orders import Order
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_scene

ROUNDS = 6
ROOMY = {"daily": 10**6, "team_daily": 10**6, "active_orders": 100, "cancels_per_day": 1000}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_to_an_order_at_once_the_books_agree_with_smscode(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with open_scene(tmp_path, limits=ROOMY) as scene:
        for number in range(ROUNDS):
            known = set(scene.sms.books.orders)
            order = await ordering.place(scene.app.desk, _command(f"{seed}-{number}"))
            (remote,) = scene.sms.books.orders.keys() - known
            happenings = _happenings(scene, order, remote, number)
            dice.shuffle(happenings)
            await asyncio.gather(*(_soon(dice.uniform(0, 0.03), happening) for happening in happenings))
            await _end_all(scene)
        await scene.settle(0.6)
        await scene.reconcile()
        assert len(scene.sms.books.charges) <= 3 * ROUNDS
        heard = "\n".join(scene.said_by_bot(OMAR))
        for sms in scene.sms.books.shown_codes():
            assert heard.count(f"🔑 {sms.code}") == 1, sms


async def test_two_admins_who_decide_at_once_decide_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path, clock=FastClock(150.0, NOON)) as scene:
        desk = scene.app.desk
        for number in range(1, 4):
            scene.sms.faults.add(Fault(kind=FaultKind.LATE, route="POST /v1/orders", seconds=0.2))
            placing = asyncio.create_task(ordering.place(desk, _command(f"admins-{number}")))
            await scene.until(lambda: len(scene.sms.books.orders) == number)  # noqa: B023
            placing.cancel()
            await asyncio.gather(placing, return_exceptions=True)
            scene.sms.set_balance(400_000 + number)  # nobody can tell from this
            await evidence.recover(desk)
            await asyncio.gather(
                *(
                    evidence.resolve(desk, number, charged=charged, admin_id=ADA)
                    for charged in (number % 2 == 0, number % 2 == 1)
                ),
                evidence.look_into(desk),
                return_exceptions=True,
            )
            order = await desk.database.read(lambda connection: orders.get(connection, number))  # noqa: B023
            assert order is not None
            assert order.state in {"charged", "refused"}
            assert order.held == 0
            assert order.charged == (order.price if order.state == "charged" else 0)
        assert await desk.database.read(ledger.discrepancies) == []


def _command(key: str) -> ordering.OrderCommand:
    return ordering.OrderCommand(key, OMAR, OMAR, None, "whatsapp", ("indonesia",))


def _happenings(scene: Scene, order: Order, remote: str, number: int) -> list[Coroutine[Any, Any, object]]:
    desk = scene.app.desk

    async def sms_arrives() -> None:
        with contextlib.suppress(SmsApiError):
            scene.sms.arrive(remote, code=f"55{number}{order.id:04}")

    async def window_closes() -> None:
        with contextlib.suppress(SmsApiError):
            scene.sms.expire(remote)

    def again(key: str) -> Coroutine[Any, Any, object]:
        like = ordering.like(order, f"{key}-{order.command_key}", OMAR, OMAR, None)
        return ordering.again(desk, order, like)

    return [
        sms_arrives(),
        tracking.cancel(desk, order, OMAR),
        tracking.cancel(desk, order, ADA),
        tracking.refresh(desk, order, Priority.COMMAND),
        tracking.refresh(desk, order, Priority.COMMAND),
        again("again"),
        again("once-more"),
        evidence.look_into(desk),
        Housekeeping(desk).tidy(),
        *([window_closes()] if number % 2 else []),
    ]


async def _soon(seconds: float, happening: Coroutine[Any, Any, object]) -> None:
    await asyncio.sleep(seconds)
    with contextlib.suppress(DeskError):
        await happening


async def _end_all(scene: Scene) -> None:
    for live in scene.sms.live_orders():
        scene.sms.complete(live.id)
    async with asyncio.timeout(8):
        while await scene.app.desk.database.read(orders.watched):
            await asyncio.sleep(0.01)
