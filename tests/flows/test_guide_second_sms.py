"""Several codes on one number: each new one rings, and says which one it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.bot_api import OMAR
from bot.sandbox.sms_api import Fault, FaultKind
from tests.clocks import FastClock
from tests.scene import NOON, Scene, open_scene

READ = ("GET", "/v1/orders/{id}")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk in a hurry, because after a code it looks less often."""
    async with open_scene(tmp_path, clock=FastClock(60.0, NOON)) as opened:
        yield opened


async def looked_at_again(scene: Scene) -> None:
    """Wait until the desk has seen what SMSCode shows now, twice to be sure."""
    reads = scene.sms.books.requests[READ]
    await scene.until(lambda: scene.sms.books.requests[READ] >= reads + 2)
    await scene.settle(0.1)


def pushes(scene: Scene) -> list[str]:
    """The messages to Omar that brought a code, in their order."""
    return [text for text in scene.said_by_bot(OMAR) if text.startswith("🔑")]


async def test_a_second_sms_is_a_second_push_and_the_same_one_again_is_none(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="111111")
    first = await scene.hears("111111", OMAR)
    assert "SMS number" not in first.text
    scene.sms.arrive(order.id, code="111111")
    await looked_at_again(scene)
    assert len(pushes(scene)) == 1
    scene.sms.arrive(order.id, code="222222")
    second = await scene.hears("222222", OMAR)
    assert second.message_id > first.message_id
    assert "SMS number 2 on this number." in second.text
    assert second.entity_texts("code")[0] == "222222"
    assert not second.silent
    assert scene.telegram.copy(OMAR, OMAR, second.message_id, "Copy code") == "222222"
    await looked_at_again(scene)
    assert len(pushes(scene)) == 2
    assert scene.sms.books.charged == order.price
    await scene.reconcile()


async def test_a_code_that_comes_back_after_another_one_is_a_third_push(scene: Scene) -> None:
    order = await scene.order()
    for number, code in enumerate(("111111", "222222", "111111"), start=1):
        scene.sms.arrive(order.id, code=code)
        await scene.until(lambda number=number: len(pushes(scene)) == number)  # type: ignore[misc]
    assert [text.split()[1] for text in pushes(scene)] == ["111111", "222222", "111111"]
    assert "SMS number 3 on this number." in pushes(scene)[2]
    await scene.reconcile()


async def test_a_second_sms_that_is_only_seen_as_the_order_ends_still_comes(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.arrive(order.id, code="111111")
    await scene.hears("111111", OMAR)
    scene.sms.arrive(order.id, code="222222")
    scene.sms.complete(order.id)
    await scene.hears("222222", OMAR)
    assert len(pushes(scene)) == 2
    await scene.reconcile()


async def test_an_answer_that_comes_late_tells_no_code_again(tmp_path: Path) -> None:
    """The guide counts no SMS: an older answer that is overtaken by a newer one must not pass for news."""
    async with open_scene(tmp_path) as scene:
        order = await scene.order()
        scene.sms.arrive(order.id, code="111111")
        await scene.hears("111111", OMAR)
        scene.sms.faults.add(Fault(kind=FaultKind.LATE, route="GET /v1/orders/{id}", seconds=2.0))
        reads = scene.sms.books.requests[READ]
        await scene.until(lambda: scene.sms.books.requests[READ] > reads)
        scene.sms.arrive(order.id, code="222222")
        await scene.ask(OMAR, "/cancel", "nothing comes back")
        await scene.hears("222222", OMAR, anew=False)
        await scene.settle(2.5)
        assert [text.split()[1] for text in pushes(scene)] == ["111111", "222222"]
