"""The guide's error codes, on each step where SMSCode can answer with them: what is said, and what it costs."""

from pathlib import Path

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind, OrderStatus
from tests.scene import Scene, open_scene

CREATE = ("POST", "/v1/orders")
CANCEL = ("POST", "/v1/orders/{id}/cancel")
READ = ("GET", "/v1/orders/{id}")


async def nothing_spent(scene: Scene) -> None:
    """No money moved, in nobody's books, and the member has everything left."""
    assert scene.sms.books.charges == []
    whoami = await scene.ask(OMAR, "/whoami", "Today: Rp 0 of")
    assert "held" not in whoami.text
    assert "Orders without a code: 0" in whoami.text
    await scene.reconcile()


async def test_a_rate_limit_on_the_create_says_when_to_try_again(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.RATE_LIMITED, route="POST /v1/orders", retry_after=40))
    refusal = await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode asks us to slow down")
    assert "Try again in 40 s. Nothing was charged." in refusal.text
    assert scene.sms.books.requests[CREATE] == 1
    # While the pause is long, a command is answered at once and asks nothing of SMSCode.
    calls = scene.sms.books.requests.total()
    await scene.ask(OMAR, "/balance", "SMSCode asks for a pause. Try again in")
    assert scene.sms.books.requests.total() == calls
    await scene.clock.sleep(30)
    await scene.order()
    await scene.reconcile()


async def test_a_rate_limit_while_polling_pauses_the_looks_and_loses_no_code(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.faults.add(Fault(kind=FaultKind.RATE_LIMITED, route="GET /v1/orders/{id}", retry_after=20))
    await scene.until(lambda: not scene.sms.faults.queued)
    limited_at, reads = scene.clock.now(), scene.sms.books.requests[READ]
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    assert scene.clock.now() - limited_at >= 19
    assert scene.sms.books.requests[READ] <= reads + 2
    await scene.reconcile()


async def test_a_rate_limit_on_a_cancel_leaves_the_order_alive_and_its_money_held(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.faults.add(Fault(kind=FaultKind.RATE_LIMITED, route="POST /v1/orders/{id}/cancel", retry_after=7))
    refusal = await scene.ask(OMAR, "/cancel", "SMSCode asks us to slow down")
    assert "#1 is not canceled; I keep watching it." in refusal.text
    assert scene.sms.order(order.id).live
    assert scene.sms.books.requests[CANCEL] == 1
    await scene.reconcile()
    await scene.ask(OMAR, "/cancel", "#1 is canceled. Rp 4.200 came back.")
    await scene.reconcile()


async def test_an_order_that_smscode_does_not_know_cannot_be_canceled_and_goes_to_the_admins(scene: Scene) -> None:
    order = await scene.order()
    del scene.sms.books.orders[order.id]
    refusal = await scene.ask(OMAR, "/cancel", "SMSCode does not know")
    assert "came back" not in refusal.text
    await scene.hears("SMSCode no longer knows order #1", ADA)
    await scene.reconcile()
    await scene.ask(ADA, "/resolve 1 refunded", "#1 is settled: canceled.")
    await scene.hears("#1 is canceled. Rp 4.200 came back.", OMAR)


async def test_a_cancel_that_smscode_refuses_by_a_code_nobody_knows_shows_the_code(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="POST /v1/orders/{id}/cancel", status=418))
    refusal = await scene.ask(OMAR, "/cancel", "SMSCode said no: The service is in trouble (INTERNAL_ERROR)")
    assert "#1 is not canceled; I keep watching it." in refusal.text
    assert scene.sms.order(order.id).live
    await scene.reconcile()


async def test_a_create_that_smscode_refuses_by_a_code_nobody_knows_is_released(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="POST /v1/orders", status=418))
    await scene.ask(
        OMAR,
        "/order whatsapp indonesia",
        "SMSCode said no: The service is in trouble (INTERNAL_ERROR)",
    )
    assert scene.sms.books.requests[CREATE] == 1
    await nothing_spent(scene)
    (wanted,), (refused,) = [await scene.audited(action) for action in ("order.reserve", "order.refuse")]
    assert (wanted.actor_id, wanted.order_id, wanted.detail["price"]) == (OMAR, 1, 4_200)
    assert (refused.actor_id, refused.order_id, refused.detail["code"]) == (OMAR, 1, "INTERNAL_ERROR")


async def test_troubles_while_polling_are_ridden_out_and_the_code_comes(scene: Scene) -> None:
    order = await scene.order()
    kinds = (
        FaultKind.RESET_BEFORE,
        FaultKind.RESET_AFTER,
        FaultKind.TRUNCATED,
        FaultKind.ERROR_BEFORE,
        FaultKind.ERROR_AFTER,
        FaultKind.HTML,
        FaultKind.BROKEN_JSON,
        FaultKind.UNAVAILABLE,
    )
    scene.sms.arrive(order.id, code="847291")
    scene.sms.faults.add(*(Fault(kind=kind, route="GET /v1/orders/{id}", retry_after=1) for kind in kinds))
    await scene.hears("847291", OMAR)
    assert scene.sms.faults.queued == []
    assert [event.fault.kind for event in scene.sms.faults.log] == list(kinds)
    assert len([text for text in scene.said_by_bot(OMAR) if "#1" in text]) == 2, "the card and the code"
    await scene.reconcile()


async def test_a_wrong_content_type_hides_neither_a_number_nor_a_code(scene: Scene) -> None:
    scene.sms.faults.add(Fault(kind=FaultKind.WRONG_TYPE, times=50))
    order = await scene.order()
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    assert scene.sms.books.requests[CREATE] == 1
    await scene.reconcile()


async def test_while_smscode_is_gone_nothing_is_sent_and_nothing_is_charged(tmp_path: Path) -> None:
    async with open_scene(tmp_path, smscode={"base_url": "http://127.0.0.1:9"}) as scene:
        for command in ("/balance", "/catalog", "/order whatsapp indonesia"):
            answer = await scene.ask(OMAR, command, "SMSCode cannot be reached right now")
            assert "nothing was charged" in answer.text
        await nothing_spent(scene)


async def test_an_outage_is_ridden_out_and_live_orders_go_on_afterwards(scene: Scene) -> None:
    order = await scene.order()
    scene.sms.down = True
    await scene.ask(OMAR, "/balance", "SMSCode gave no clear answer")
    refusal = await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode gave no clear answer")
    assert "nothing was charged" in refusal.text
    await scene.ask(OMAR, "/cancel", "SMSCode gave no clear answer")
    scene.sms.arrive(order.id, code="847291")
    scene.sms.down = False
    await scene.hears("847291", OMAR)
    assert scene.sms.order(order.id).status == OrderStatus.OTP_RECEIVED
    assert scene.sms.books.requests[CREATE] == 1
    await scene.reconcile()
