"""An answer that never came, or made no sense: no second try, no guess, and money that follows the evidence."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind, OrderStatus
from bot.services.evidence import GRACE_SECONDS
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_hurried_scene, open_scene

CREATE = ("POST", "/v1/orders")
CANCEL = ("POST", "/v1/orders/{id}/cancel")


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A desk in a hurry that gives SMSCode half a real second for its answer."""
    async with open_hurried_scene(tmp_path, monkeypatch) as opened:
        yield opened


@dataclass(frozen=True)
class Trouble:
    """A fault, and whether the request did its work all the same."""

    kind: FaultKind
    effect: bool

    def on(self, route: str) -> Fault:
        return Fault(kind=self.kind, route=route, effect=self.effect)

    def __str__(self) -> str:
        return f"{self.kind}-{'done' if self.effect else 'not done'}"


DONE = [
    Trouble(kind, effect=True)
    for kind in (
        FaultKind.ERROR_AFTER,
        FaultKind.HTML,
        FaultKind.BROKEN_JSON,
        FaultKind.RESET_AFTER,
        FaultKind.TRUNCATED,
        FaultKind.SILENCE_AFTER,
    )
]
NOT_DONE = [
    Trouble(kind, effect=False)
    for kind in (
        FaultKind.ERROR_BEFORE,
        FaultKind.HTML,
        FaultKind.UNAVAILABLE,
        FaultKind.RESET_BEFORE,
        FaultKind.SILENCE,
    )
]


async def unclear_order(scene: Scene, trouble: Trouble) -> None:
    """Order, and hear that nobody knows what became of it."""
    scene.sms.faults.add(trouble.on("POST /v1/orders"))
    told = await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
    assert "do not order again yet" in told.text, trouble
    assert "Rp 4.200 stays held" in told.text, trouble


async def test_a_create_that_was_charged_is_settled_by_the_balance(scene: Scene) -> None:
    for number, trouble in enumerate(DONE, start=1):
        await unclear_order(scene, trouble)
        told = await scene.hears(f"#{number} was paid (Rp 4.200)", OMAR)
        assert "the number got lost" in told.text, trouble
        await scene.hears(f"Order #{number} is unclear", ADA)
        await scene.hears(f"Order #{number} was charged, but its number never reached us", ADA)
        assert scene.sms.books.requests[CREATE] == len(scene.sms.books.charges) == number, trouble
        await scene.reconcile()
    await scene.ask(OMAR, "/whoami", "Today: Rp 25.200 of")
    assert len(await scene.audited("order.unclear")) == len(DONE)
    assert not any("Nothing was charged" in text for text in scene.said_by_bot(OMAR))


async def test_a_mistake_of_ours_after_the_create_counts_as_unclear(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(answer: object) -> None:
        raise RuntimeError(f"a mistake of ours about {answer}")

    monkeypatch.setattr("bot.sms.guide.decode_order", broken)
    await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
    await scene.hears("#1 was paid (Rp 4.200)", OMAR)
    (line,) = await scene.audited("order.unclear")
    assert line.detail["reason"] == "RuntimeError"
    assert not any("Nothing was charged" in text for text in scene.said_by_bot(OMAR))
    await scene.reconcile()


async def test_a_create_that_was_not_charged_is_released_after_the_grace_time(scene: Scene) -> None:
    for number, trouble in enumerate(NOT_DONE, start=1):
        asked_at = scene.clock.now()
        await unclear_order(scene, trouble)
        await scene.reconcile(held=4_200)
        told = await scene.hears(f"#{number} was not placed and nothing was charged", OMAR)
        assert scene.clock.now() - asked_at >= GRACE_SECONDS, trouble
        assert scene.sms.books.requests[CREATE] == number, trouble
        assert scene.sms.books.charges == [], trouble
        assert told.button_texts == ["Order another"], trouble
        await scene.reconcile()
    await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    assert [line.order_id for line in await scene.audited("order.release")] == [5, 4, 3, 2, 1]


async def test_while_one_is_unclear_nobody_can_blur_the_picture(tmp_path: Path) -> None:
    # Slower than the others: all that is asked here must be said within the two minutes of grace.
    async with open_scene(tmp_path, clock=FastClock(20.0, NOON)) as scene:
        await _nobody_can_blur(scene)


async def _nobody_can_blur(scene: Scene) -> None:
    await unclear_order(scene, Trouble(FaultKind.RESET_BEFORE, effect=False))
    for person in (OMAR, ADA):
        refusal = await scene.ask(person, "/order whatsapp vietnam", "Order #1 is still being checked")
        assert "Try again in" in refusal.text
        assert "Nothing was charged" in refusal.text
    assert scene.sms.books.requests[CREATE] == 1
    for command in ("/again 1", "/cancel 1"):
        await scene.ask(OMAR, command, "#1: being checked. That is not possible now; nothing changed.")
    await scene.ask(OMAR, "/whoami", "Rp 4.200 held")
    await scene.ask(OMAR, "/orders", "being checked")
    await scene.hears("#1 was not placed", OMAR, anew=False, patience=20)
    await scene.order("whatsapp vietnam")
    assert scene.sms.books.requests[CREATE] == 2
    await scene.reconcile()


async def test_a_balance_that_proves_nothing_is_left_to_an_admin(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.SILENCE_AFTER, route="POST /v1/orders"))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.until(lambda: bool(scene.sms.books.orders))
    scene.sms.set_balance(500_000)
    alert = await scene.hears("Order #1 needs your word", ADA)
    assert "Rp 150.000 before it and is Rp 500.000 now" in alert.text
    held = await scene.ask(OMAR, "/whoami", "Rp 4.200 held")
    assert "Orders without a code: 1" in held.text
    known = await scene.ask(ADA, "/resolve 1", "Balance before: Rp 150.000 · now: Rp 500.000")
    assert "Rp 4.200 put aside (hold)" in known.text
    assert "I had no clear answer about #1" in known.text
    await scene.ask(ADA, "/resolve 1 charged", "#1 is settled")
    await scene.hears("#1 was paid", OMAR)
    await scene.reconcile()


async def test_a_cancel_with_an_unclear_answer_ends_as_smscode_shows_it(scene: Scene) -> None:
    for number, trouble in enumerate(DONE, start=1):
        order = await scene.order()
        scene.sms.faults.add(trouble.on("POST /v1/orders/{id}/cancel"))
        await scene.ask(OMAR, "/cancel", f"#{number} is canceled. Rp 4.200 came back.")
        assert scene.sms.order(order.id).status == OrderStatus.CANCELLED, trouble
        assert scene.sms.books.requests[CANCEL] == len(scene.sms.books.refunds) == number, trouble
        await scene.reconcile()


async def test_a_cancel_that_did_not_get_through_leaves_the_order_as_it_was(scene: Scene) -> None:
    order = await scene.order()
    for number, trouble in enumerate(NOT_DONE, start=1):
        scene.sms.faults.add(trouble.on("POST /v1/orders/{id}/cancel"))
        told = await scene.ask(OMAR, "/cancel", "#1 may or may not be canceled")
        assert "came back" not in told.text, trouble
        assert scene.sms.order(order.id).live, trouble
        assert scene.sms.books.requests[CANCEL] == number, trouble
        await scene.reconcile()
    await scene.ask(OMAR, "/cancel", "#1 is canceled. Rp 4.200 came back.")
    await scene.reconcile()


async def test_a_look_that_hangs_holds_no_other_order_up(scene: Scene) -> None:
    first = await scene.order()
    second = await scene.order("whatsapp vietnam")
    scene.sms.faults.add(Fault(kind=FaultKind.SILENCE, route="GET /v1/orders/{id}", times=2))
    scene.sms.arrive(first.id, code="111111")
    scene.sms.arrive(second.id, code="222222")
    await scene.hears("111111", OMAR)
    await scene.hears("222222", OMAR)
    await scene.reconcile()
