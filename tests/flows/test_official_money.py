"""Money where SMSCode speaks the official contract: keys instead of guesses, refunds by its own word."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from bot.domain.errors import AbuseGuard, KeyReused
from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind, OrderStatus, SmsWorld
from bot.sandbox.sms_books import KeyedRequest
from bot.services import guard, ordering
from bot.services.ordering import OrderCommand
from storage import settings
from tests.clocks import FastClock
from tests.scene import HURRY, NOON, SPEED, Scene, open_hurried_scene, open_scene

CREATE = "POST /v1/orders/create"
CANCEL = "POST /v1/orders/cancel"
TROUBLES = [
    Fault(kind=FaultKind.ERROR_BEFORE, route=CREATE),
    Fault(kind=FaultKind.ERROR_AFTER, route=CREATE),
    Fault(kind=FaultKind.RESET_BEFORE, route=CREATE),
    Fault(kind=FaultKind.RESET_AFTER, route=CREATE),
    Fault(kind=FaultKind.TRUNCATED, route=CREATE),
    Fault(kind=FaultKind.BROKEN_JSON, route=CREATE),
    Fault(kind=FaultKind.HTML, route=CREATE, effect=True),
    Fault(kind=FaultKind.SILENCE, route=CREATE),
    Fault(kind=FaultKind.SILENCE_AFTER, route=CREATE),
]


def creates(scene: Scene) -> int:
    """How many creates have arrived, replays included."""
    return scene.sms.books.requests["POST", "/v1/orders/create"]


async def measured(scene: Scene) -> None:
    """Wait until the account has been measured while the books were at rest."""
    async with asyncio.timeout(8):
        while await scene.app.desk.database.read(lambda rows: settings.get(rows, settings.ACCOUNT)) is None:
            await asyncio.sleep(0.02)


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A desk in a hurry that gives SMSCode half a real second for its answer."""
    async with open_hurried_scene(tmp_path, monkeypatch, contract="official") as opened:
        yield opened


async def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(scene: Scene) -> None:
    for number, trouble in enumerate(TROUBLES, start=1):
        arrived = creates(scene)
        scene.sms.faults.add(trouble)
        scene.say(OMAR, "/order whatsapp id")
        await scene.hears(f"#{number}", OMAR)
        assert len(scene.sms.books.charges) == number, trouble
        assert creates(scene) == arrived + 2, trouble
        card = await scene.hears("📱", OMAR)
        scene.press(OMAR, card, "Cancel and refund")
        await scene.hears("came back", OMAR)
    await scene.reconcile()
    assert scene.said_by_bot(ADA) == []


async def test_a_create_without_an_answer_is_repeated_after_growing_pauses(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route=CREATE, times=3))
        begun = scene.clock.now()
        await scene.order("whatsapp id")
        assert creates(scene) == 4
        assert scene.clock.now() - begun >= 0.5 + 1 + 2


async def test_a_key_that_was_used_for_something_else_is_told_and_costs_nothing(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        await scene.until(lambda: scene.app.desk.sms.contract == "official")
        scene.sms.books.keyed["/v1/orders/create", "strange-1"] = KeyedRequest({"product_id": 1})
        with pytest.raises(KeyReused):
            await ordering.place(scene.app.desk, OrderCommand("strange", OMAR, OMAR, None, "whatsapp", ("id",)))
        await scene.hears("the key of order #1 was used for something else before", ADA)
        assert scene.sms.books.charges == []
        await scene.reconcile()


async def test_an_order_that_stays_unclear_is_cleared_up_later_and_charged_once(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_AFTER, route=CREATE, times=8))
    await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
    card = await scene.hears("📱", OMAR, anew=False)
    (order,) = scene.sms.live_orders()
    assert order.phone_number in card.text
    assert len(scene.sms.books.charges) == 1
    assert [line.detail["reason"] for line in await scene.audited("order.unclear")] == ["SMSCode answered 500"]
    await scene.reconcile()


async def test_a_no_at_the_door_to_a_repeat_says_nothing_of_the_first_try(scene: Scene) -> None:
    scene.sms.faults.add(
        Fault(kind=FaultKind.ERROR_AFTER, route=CREATE), Fault(kind=FaultKind.RATE_LIMITED, route=CREATE, retry_after=1)
    )
    order = await scene.order("whatsapp id")
    assert [charge.amount for charge in scene.sms.books.charges] == [order.price]
    assert await scene.audited("order.refuse") == []
    await scene.reconcile()


async def test_an_order_that_never_was_is_released_once_the_replay_says_so(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route=CREATE, times=1000))
    await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
    for product in scene.sms.products("indonesia", "whatsapp"):
        product.available = 0
    scene.sms.faults.clear()
    await scene.hears("#1 was not placed and nothing was charged", OMAR, anew=False)
    assert scene.sms.books.charges == []
    await scene.reconcile()


async def test_a_key_that_smscode_may_have_forgotten_is_not_sent_again(scene: Scene) -> None:
    """SMSCode does not say for how long it knows one; a repeat that it takes for new would be a second order."""
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_AFTER, route=CREATE, times=1000))
    await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
    scene.clock.jump(13 * 3600)
    await scene.hears("Order #1 needs your word", ADA)
    scene.sms.faults.clear()
    arrived = creates(scene)
    await scene.settle()
    assert (creates(scene), len(scene.sms.books.charges)) == (arrived, 1)
    assert await scene.count("SELECT charged FROM orders") == 0
    await scene.ask(ADA, "/resolve 1 charged", "#1 is settled")
    await scene.ask(ADA, "/resolve 1 charged", "#1 is over already (paid, number unknown). Nothing changed.")
    assert await scene.count("SELECT charged FROM orders") == scene.sms.books.charges[0].amount


async def test_a_key_that_somebody_else_has_used_meanwhile_is_left_to_an_admin(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route=CREATE, times=1000))
    await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
    (key,) = await scene.app.desk.database.read(
        lambda connection: connection.execute("SELECT request_key FROM orders").fetchone()
    )
    scene.sms.books.keyed["/v1/orders/create", key] = KeyedRequest({"product_id": 1})
    scene.sms.faults.clear()
    await scene.hears("Order #1 needs your word", ADA)
    assert await scene.count("SELECT count(*) FROM orders WHERE state = 'unknown'") == 1
    await scene.ask(ADA, "/resolve 1 refunded", "#1 is settled: not placed")
    assert scene.sms.books.charges == []
    await scene.reconcile()


async def test_while_one_is_unclear_others_may_order(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_AFTER, route=CREATE, times=7))
    await scene.ask(OMAR, "/order whatsapp id", "SMSCode gave no clear answer")
    await scene.order("whatsapp vn", ADA)
    await scene.until(lambda: len(scene.sms.books.charges) == 2)


async def test_a_crash_between_the_create_and_its_answer_ends_in_one_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FastClock(HURRY, NOON)
    async with open_scene(tmp_path, clock=clock, contract="official") as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.SILENCE_AFTER, route=CREATE))
        scene.say(OMAR, "/order whatsapp id")
        await scene.until(lambda: len(scene.sms.books.charges) == 1)
        await scene.crash()
        telegram, sms = scene.telegram, scene.sms
    async with open_scene(
        tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, contract="official"
    ) as restarted:
        (order,) = sms.live_orders()
        await restarted.hears(order.phone_number, OMAR, anew=False)
        sms.arrive(order.id, "901823")
        await restarted.hears("901823", OMAR, anew=False)
        assert len(sms.books.charges) == 1
        await restarted.reconcile()


async def test_a_create_that_still_runs_is_waited_for(scene: Scene) -> None:
    scene.sms.create_takes = 1.3
    order = await scene.order("whatsapp id")
    assert scene.sms.books.charges_of(order.id)
    assert creates(scene) >= 2
    assert scene.sms.books.answers[409] >= 1
    await scene.reconcile()


async def test_a_cancel_books_what_smscode_says_came_back(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    await scene.ask(OMAR, "/cancel", f"Rp {order.price:,} came back".replace(",", "."))
    assert order.status == OrderStatus.CANCELLED
    await scene.reconcile()


async def test_a_cancel_without_an_answer_is_looked_up(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    scene.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CANCEL))
    await scene.ask(OMAR, "/cancel", "came back")
    assert order.status == OrderStatus.CANCELLED
    await scene.reconcile()


async def test_after_the_code_done_is_offered_in_the_place_of_cancel(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "112358")
    await scene.hears("112358", OMAR)
    offered = await scene.ask(OMAR, "/cancel", "SMSCode takes no cancel after an SMS")
    scene.press(OMAR, offered, "Done")
    await scene.hears("#1 is finished", OMAR)
    assert scene.sms.books.refunds == []
    await scene.reconcile()


async def test_done_and_resend_need_a_code_and_outlive_a_look_that_fails(scene: Scene) -> None:
    order = await scene.order("whatsapp id")
    for command in ("/done", "/resend"):
        await scene.ask(OMAR, command, "#1: waiting for the SMS. That is not possible now; nothing changed.")
    assert scene.sms.books.requests["POST", "/v1/orders/finish"] == 0
    scene.sms.arrive(order.id, "112358")
    await scene.hears("112358", OMAR)
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/orders/{id}"))
    await scene.ask(OMAR, "/done", "#1 is finished")
    assert order.status == OrderStatus.COMPLETED
    await scene.until(lambda: not scene.sms.faults.queued)
    await scene.reconcile()


@pytest.mark.parametrize("interval", [5, 200])
@pytest.mark.parametrize("comes_back", [True, False])
async def test_an_expired_order_is_booked_by_what_the_balance_shows(
    tmp_path: Path, comes_back: bool, interval: int
) -> None:
    """Also where the account's measure is taken between the expiry and the moment in which the desk learns of it."""
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=comes_back)
    polling = {"interval": interval}
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", polling=polling) as scene:
        order = await scene.order("whatsapp id")
        # The books come to rest at least once while nothing is at its end.
        await measured(scene)
        sms.expire(order.id)
        await scene.hears("expired without a code", OMAR)
        told = await scene.hears("came back, as the balance shows", OMAR)
        assert ("nothing came back" in told.text) is not comes_back
        await scene.reconcile()


@pytest.mark.parametrize("route", ["GET /v1/balance", "GET /v1/orders/active"])
async def test_a_refund_waits_for_an_account_that_cannot_be_read(tmp_path: Path, route: str) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=False)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        order, _ = await scene.order("whatsapp id"), await scene.order("whatsapp id")
        await measured(scene)
        sms.expire(order.id)
        await scene.hears("#1 expired without a code", OMAR)
        sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route=route, times=1000))
        sms.set_balance(sms.balance + order.price)
        failed = len(sms.faults.log)
        await scene.until(lambda: len(sms.faults.log) >= failed + 4)
        assert await scene.audited("order.refund") == []
        sms.faults.clear()
        await scene.hears("#1 had expired; Rp 4.200 came back, as the balance shows", OMAR)


async def test_a_refund_on_the_website_is_not_taken_for_that_of_another_order(tmp_path: Path) -> None:
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, refund_expired=False)
    polling = {"interval": 200}
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", polling=polling) as scene:
        expired, canceled = await scene.order("whatsapp id"), await scene.order("whatsapp id")
        await measured(scene)
        sms.expire(expired.id)
        await scene.hears("expired without a code", OMAR)
        sms.cancel_order(canceled.id)
        told = await scene.hears("came back, as the balance shows", OMAR)
        assert "nothing came back" in told.text
        await scene.hears("#2 is canceled", OMAR, anew=False)
        await scene.reconcile()


async def test_what_came_back_for_orders_that_an_admin_decides_proves_nothing_for_the_next(tmp_path: Path) -> None:
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    polling = {"interval": 200}
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", polling=polling) as scene:
        first, second, third = [await scene.order("whatsapp id") for _ in range(3)]
        await measured(scene)
        sms.refund_expired = True
        sms.expire(first.id)
        sms.refund_expired = False
        sms.expire(second.id)
        await scene.hears("#2", ADA, anew=False)
        sms.expire(third.id)
        await scene.hears("#3", ADA, anew=False)
        assert scene.sms.books.spent == 2 * first.price
        await scene.ask(ADA, "/resolve 1 refunded", "#1")
        await scene.ask(ADA, "/resolve 2 charged", "#2")
        await scene.ask(ADA, "/resolve 3 charged", "#3")
        await scene.reconcile()


async def test_an_order_that_ends_while_the_balance_is_read_proves_nothing_for_another(tmp_path: Path) -> None:
    clock = FastClock(HURRY, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", polling={"interval": 20}) as scene:
        first, second, _ = [await scene.order("whatsapp id") for _ in range(3)]
        await measured(scene)
        slow = Fault(kind=FaultKind.SLOW, route="GET /v1/balance", seconds=1.5)
        sms.refund_expired = False
        sms.expire(first.id)
        await scene.hears("#1 expired", OMAR, anew=False)
        sms.faults.add(slow)
        await scene.until(lambda: not sms.faults.queued)
        sms.refund_expired = True
        sms.expire(second.id)
        await scene.hears("#2 expired", OMAR, anew=False)
        for number in (1, 2):
            await scene.hears(f"#{number}", ADA, anew=False)
        assert await scene.count("SELECT count(*) FROM entry WHERE reason = 'expired'") == 0


async def test_the_days_cap_on_cancels_stops_nobody_from_watching(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None, cancels_per_day=1)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        first, second = await scene.order("whatsapp id"), await scene.order("whatsapp id")
        await scene.ask(OMAR, "/cancel 1", "came back")
        assert first.status == OrderStatus.CANCELLED
        await scene.ask(OMAR, "/cancel 2", "#2")
        assert scene.app.desk.requests.pause_left == 0
        sms.arrive(second.id, "271828")
        await scene.hears("271828", OMAR, anew=False)
        await scene.reconcile()


async def test_the_abuse_guard_stops_ordering_for_all_and_lets_go_by_itself(tmp_path: Path) -> None:
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        order = await scene.order("whatsapp id")
        sms.trip_abuse_guard(90.0)
        await scene.ask(OMAR, "/order whatsapp vn", "SMSCode")
        await scene.hears("SMSCode takes no new order of this account", ADA, anew=False)
        arrived = creates(scene)
        await scene.ask(ADA, "/order telegram vn", "SMSCode")
        assert creates(scene) == arrived
        sms.arrive(order.id, "161803")
        await scene.hears("161803", OMAR, anew=False)
        await scene.until(lambda: clock.now() > order.created_at + 120)
        await scene.order("whatsapp vn")
        await scene.reconcile()


async def test_the_guard_lasts_as_long_as_smscode_says_and_is_never_cut_short(tmp_path: Path) -> None:
    clock, week = FastClock(1.0, NOON), 7 * 86_400
    async with open_scene(tmp_path, clock=clock, contract="official") as scene:
        desk = scene.app.desk
        for details, seconds in (
            ({}, 300),
            ({"until": _written_out(NOON + 900)}, 900),
            ({"until": _written_out(NOON + 5), "retry_after_seconds": 1200}, 1200),
            ({"retry_after_seconds": 5}, 1200),
            ({"retry_after_seconds": 10**9}, week),
        ):
            error = AbuseGuard("TEMP_BANNED_ABUSE_GUARD", details=details)
            await desk.transact(partial(guard.begin, desk, error=error))
            until = await desk.database.read(partial(guard.ends_at, now=desk.now))
            assert until == pytest.approx(NOON + seconds, abs=60), details
        assert len(await scene.audited("guard.begin")) == 4


def _written_out(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


async def test_an_order_that_goes_beyond_its_price_is_told_and_counts(tmp_path: Path) -> None:
    """A product without a kind has no ceiling to agree on."""
    clock = FastClock(SPEED, NOON)
    sms = SmsWorld(now=clock.now, arrival=None)
    async with open_scene(tmp_path, sms=sms, clock=clock, contract="official") as scene:
        await scene.ask(OMAR, "/catalog gojek id", "Gojek")
        for product in sms.products("indonesia", "gojek"):
            product.price += 700
        order = await scene.order("gojek id")
        alert = await scene.hears("its product had no ceiling to agree on", ADA, anew=False)
        assert f"{order.price:,}".replace(",", ".") in alert.text
        await scene.reconcile()
