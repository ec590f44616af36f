"""Orders that the desk ends by itself: just before they expire unused, or once SMSCode allows what was asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Contract, Fault, FaultKind, Order, OrderStatus, SmsWorld
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

MARGIN = 30
"""Seconds before its expiry at which an unused order is canceled in these tests."""


def cancels(scene: Scene) -> int:
    """How many cancels have arrived."""
    requests = scene.sms.books.requests
    return requests["POST", "/v1/orders/{id}/cancel"] + requests["POST", "/v1/orders/cancel"]


async def nears_its_end(scene: Scene, order: Order, seconds: float) -> None:
    """Let time pass until so many seconds are left."""
    scene.clock.jump(order.expires_at - seconds - scene.clock.now())


async def plan_a_cancel(scene: Scene, number: int) -> None:
    """Have an order canceled as soon as SMSCode allows it."""
    told = await scene.ask(OMAR, f"/cancel {number}", "be canceled yet")
    scene.press(OMAR, told, "Cancel as soon as it can be")
    await scene.hears(f"I cancel #{number} by myself", OMAR)


@asynccontextmanager
async def open_keeping(folder: Path, seconds: float, cancels_per_day: int = 20) -> AsyncIterator[Scene]:
    """A desk whose SMSCode has every number kept for so many seconds before it may be given back."""
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, cancel_window=seconds)
    limits = {"cancels_per_day": cancels_per_day}
    async with open_scene(folder, sms=sms, clock=clock, contract="official", limits=limits) as scene:
        yield scene


@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_an_unused_order_is_canceled_just_before_it_expires(tmp_path: Path, contract: Contract) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=False)
    rules = {"cancel_before_expiry": MARGIN}
    async with open_scene(tmp_path, sms=sms, clock=clock, contract=contract, ordering=rules) as scene:
        used, unused = await scene.order(), await scene.order()
        sms.arrive(used.id, "314159")
        await scene.hears("314159", OMAR, anew=False)
        await nears_its_end(scene, unused, 2 * MARGIN)
        await scene.settle()
        assert cancels(scene) == 0
        await scene.hears("#2 is canceled. Rp 4.200 came back.", OMAR)
        assert unused.status == OrderStatus.CANCELLED
        assert cancels(scene) == 1
        await scene.until(lambda: not used.live)
        assert used.status != OrderStatus.CANCELLED
        assert len(sms.books.refunds) == 1
        assert [line.actor_id for line in await scene.audited("order.cancel")] == [0]
        await scene.reconcile()


async def test_a_cancel_before_the_expiry_that_fails_is_tried_again_while_there_is_time(tmp_path: Path) -> None:
    async with open_scene(tmp_path, ordering={"cancel_before_expiry": MARGIN}) as scene:
        order = await scene.order()
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="POST /v1/orders/{id}/cancel"))
        await nears_its_end(scene, order, MARGIN)
        await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)
        assert cancels(scene) == 2
        await scene.reconcile()


async def test_a_cancel_that_comes_too_early_is_made_later_by_itself(tmp_path: Path) -> None:
    async with open_keeping(tmp_path, 60.0) as scene:
        order = await scene.order("whatsapp id")
        card = await scene.hears("📱", OMAR)
        assert "Cancel and refund" not in card.button_texts
        await plan_a_cancel(scene, 1)
        assert order.live
        await scene.hears("came back", OMAR)
        assert scene.clock.now() >= order.created_at + 60
        await scene.reconcile()


async def test_an_sms_that_comes_before_the_planned_cancel_is_kept(tmp_path: Path) -> None:
    async with open_keeping(tmp_path, 40.0) as scene:
        order = await scene.order("whatsapp id")
        await plan_a_cancel(scene, 1)
        scene.sms.arrive(order.id, "314159")
        await scene.hears("314159", OMAR)
        await scene.until(lambda: scene.clock.now() > order.created_at + 60)
        assert order.status == OrderStatus.OTP_RECEIVED
        assert scene.sms.books.requests["POST", "/v1/orders/cancel"] <= 1


async def test_a_planned_cancel_that_fails_is_told_and_the_order_goes_on(tmp_path: Path) -> None:
    async with open_keeping(tmp_path, 60.0) as scene:
        order = await scene.order()
        await plan_a_cancel(scene, 1)
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="POST /v1/orders/cancel"))
        tried = cancels(scene)
        await scene.hears("#1 could not be canceled as planned: SMSCode answered 500. I keep watching it", OMAR)
        assert cancels(scene) == tried + 1
        scene.sms.arrive(order.id, "271828")
        await scene.hears("271828", OMAR)
        assert cancels(scene) == tried + 1
        await scene.reconcile()


async def test_a_planned_cancel_beyond_the_members_cancels_of_the_day_is_told_and_not_made(tmp_path: Path) -> None:
    async with open_keeping(tmp_path, 40.0, cancels_per_day=1) as scene:
        order = await scene.order()
        await plan_a_cancel(scene, 1)
        await scene.ask(ADA, f"/limit {OMAR} cancels_per_day 0", "0")
        tried = cancels(scene)
        await scene.hears("#1 is not canceled as planned: you have reached your limit of cancels per day (0)", OMAR)
        assert cancels(scene) == tried
        assert order.live
        await scene.reconcile()


async def test_a_cancel_of_what_is_over_cannot_be_planned(tmp_path: Path) -> None:
    async with open_keeping(tmp_path, 600.0) as scene:
        order = await scene.order()
        told = await scene.ask(OMAR, "/cancel", "be canceled yet")
        scene.sms.expire(order.id)
        await scene.hears("#1 expired", OMAR)
        scene.press(OMAR, told, "Cancel as soon as it can be")
        await scene.hears("#1 is over already (expired). Nothing changed.", OMAR)
        assert await scene.audited("order.cancel_later") == []
