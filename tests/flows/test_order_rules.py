"""What stands before an order and in its way: the team's rules, a fresh start, prices that cannot be compared."""

from pathlib import Path

import pytest

from bot.domain.errors import OrderingPaused, PriceRose
from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind
from bot.services import ordering, tracking
from storage import orders
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_hurried_scene, open_scene


async def test_the_teams_rules_are_said_and_kept(tmp_path: Path) -> None:
    rules = {"note_required": True, "platforms_allowed": ("telegram",)}
    async with open_scene(tmp_path, ordering=rules) as scene:
        await scene.ask(OMAR, "/order telegram indonesia", "needs a note that says what it is for")
        await scene.ask(OMAR, "/order whatsapp indonesia note=login", "Whatsapp is not on this team's list: telegram")
        await scene.ask(OMAR, "/order telegram max=5000 note=login", "Name a country")
        await scene.ask(OMAR, "/order telegram indonesia best note=login", "choose a number by its success")
        assert scene.sms.books.orders == {}
        await scene.order("telegram indonesia note=login")


async def test_while_orders_are_stopped_nothing_is_asked_for_or_held(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.SLOW, route="GET /v1/catalog/products", seconds=0.5))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.until(lambda: scene.sms.books.requests["GET", "/v1/catalog/products"] == 1)
        await scene.ask(ADA, "/pause stocktaking", "stocktaking")
        await scene.hears("stocktaking", OMAR)
        calls = scene.sms.books.requests.total()
        await scene.ask(OMAR, "/order telegram vietnam", "stocktaking")
        assert scene.sms.books.requests.total() == calls
        assert await scene.count("SELECT count(*) FROM orders") == 0


async def test_an_order_waits_until_the_books_are_compared_and_says_so(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.app.desk.compared.clear()
        await scene.ask(OMAR, "/order whatsapp indonesia", "go through my books first")
        scene.app.desk.compared.set()
        await scene.order()


async def test_an_order_waits_until_the_live_ones_were_seen_and_says_so(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as before:
        await before.order()
    unread = Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/orders/{id}", times=1000)
    before.sms.faults.add(unread)
    telegram, sms, clock = before.telegram, before.sms, before.clock
    async with open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False) as scene:
        await scene.ask(OMAR, "/order whatsapp vietnam", "look at the live orders first")
        assert len(scene.sms.books.charges) == 1
        scene.sms.faults.clear()
        await scene.order("whatsapp vietnam")


async def test_an_order_before_smscode_has_ever_answered_does_not_wait_for_the_look(tmp_path: Path) -> None:
    """The look at the live orders has not begun: to wait for it, and to say that it goes on, would be wrong."""
    async with open_scene(tmp_path) as before:
        await before.order()
    telegram, sms, clock = before.telegram, before.sms, before.clock
    sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/orders/active", times=1000))
    again = open_scene(tmp_path, telegram=telegram, sms=sms, clock=clock, members=False, contract="official")
    async with again as scene:
        await scene.ask(OMAR, "/order whatsapp vietnam", "SMSCode cannot be reached right now")
        assert len(sms.books.charges) == 1


async def test_a_charge_that_cannot_be_compared_is_taken_at_its_price(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/balance", after_calls=1))
        await scene.order()
        await scene.until(lambda: not scene.sms.faults.queued)
        await scene.reconcile()


async def test_an_order_that_waits_for_an_admin_stops_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_hurried_scene(tmp_path, monkeypatch) as scene:
        scene.sms.faults.add(Fault(kind=FaultKind.SILENCE_AFTER, route="POST /v1/orders"))
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.until(lambda: bool(scene.sms.books.orders))
        scene.sms.set_balance(500_000)
        await scene.hears("Order #1 needs your word", ADA)
        await scene.order("whatsapp vietnam", ADA)
        assert len(scene.sms.books.charges) == 2


@pytest.mark.parametrize("finish_fails", [False, True])
async def test_again_after_a_code_finishes_the_old_order_if_it_can(tmp_path: Path, finish_fails: bool) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        old = await scene.order("whatsapp id")
        scene.sms.arrive(old.id, "550123")
        await scene.hears("550123", OMAR)
        if finish_fails:
            scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="POST /v1/orders/finish"))
        await scene.ask(OMAR, "/again 1", "📱")
        assert scene.sms.order(old.id).live == finish_fails
        assert len(scene.sms.books.charges) == 2
        await scene.reconcile()


async def test_a_number_is_rented_again_once_for_a_command_and_never_above_what_was_agreed(tmp_path: Path) -> None:
    async with open_scene(tmp_path, contract="official", clock=FastClock(20.0, NOON)) as scene:
        order = await scene.order("whatsapp id")
        scene.sms.arrive(order.id, "550123")
        await scene.hears("550123", OMAR)
        await scene.ask(OMAR, "/done", "#1 is finished")
        desk, ours = scene.app.desk, await _ours(scene, 1)
        cost = await ordering.reactivation_cost(desk, ours)
        command = ordering.like(ours, "again-1", OMAR, OMAR, None)
        with pytest.raises(PriceRose) as rose:
            await ordering.reactivate(desk, ours, command, cost - 1)
        assert (rose.value.agreed, rose.value.price) == (cost - 1, cost)
        assert len(scene.sms.books.charges) == 1
        desk.compared.clear()
        with pytest.raises(OrderingPaused):
            await ordering.reactivate(desk, ours, command, cost)
        assert len(scene.sms.books.charges) == 1
        desk.compared.set()
        first = await ordering.reactivate(desk, ours, command, cost)
        assert (await ordering.reactivate(desk, ours, command, cost)).id == first.id
        assert len(scene.sms.books.charges) == 2
        await scene.reconcile()


async def _ours(scene: Scene, number: int) -> orders.Order:
    return await scene.app.desk.database.read(lambda connection: tracking.known(connection, number))
