"""Finding out which contract is spoken: one look, no guess, and nothing ordered before."""

import json

import pytest

from bot.clock import Clock
from bot.domain.errors import NotSent, SmsError, TokenRejected
from bot.domain.orders import Offer
from bot.sandbox.sms_api import Contract, Fault, FaultKind
from bot.sms.detect import DetectingAdapter, make_port
from bot.sms.guide import GuideAdapter
from bot.sms.official import OfficialAdapter
from bot.sms.port import CreateRequest, SmsPort, Terms
from tests.clocks import ManualClock
from tests.contracts.bench import Bench, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOK = ("GET", "/v1/orders/active")


@pytest.fixture
def hands() -> ManualClock:
    return ManualClock()


@pytest.fixture
def clock(hands: ManualClock) -> Clock:
    return hands


@pytest.fixture
def port(bench: Bench) -> SmsPort:
    return make_port("auto", bench.wire, bench.clock)


async def test_it_is_the_one_that_the_server_speaks(bench: Bench, port: SmsPort, contract: Contract) -> None:
    assert port.contract == ""
    await port.settle_contract()
    assert port.contract == contract
    spoken = bench.sms
    assert port.creates_are_repeatable == spoken.creates_are_repeatable
    assert port.tells_money == spoken.tells_money
    assert port.shows_all_live == spoken.shows_all_live
    assert port.lists_names == spoken.lists_names
    assert port.chooses_numbers == spoken.chooses_numbers


async def test_one_look_is_enough(bench: Bench, port: SmsPort) -> None:
    for _ in range(3):
        await port.settle_contract()
        await port.balance()
    assert len(bench.meddler.seen) == 4


async def test_it_places_orders_as_the_contract_does(bench: Bench, port: SmsPort) -> None:
    offer = next(offer for offer in await port.offers(*bench.place) if offer.in_stock)
    created = await port.create(CreateRequest(port.create_body(offer, Terms(offer.price)), "k1"))
    assert bench.booked(created).price == offer.price
    await port.cancel(created.remote_id)
    assert len(bench.world.books.refunds) == 1


@pytest.mark.parametrize("body", [b"", b"<html>not here</html>", b'{"detail":"Not Found"}'])
async def test_not_found_is_the_guide(bench: Bench, port: SmsPort, body: bytes) -> None:
    bench.meddler.instead = Reply(404, body)
    await port.settle_contract()
    assert port.contract == "guide"


async def test_a_wrong_token_is_said(bench: Bench) -> None:
    async with bench.stranger("wrong") as stranger:
        port = make_port("auto", stranger.wire, stranger.clock)
        for _ in range(2):
            with pytest.raises(TokenRejected):
                await port.settle_contract()
    assert port.contract == ""


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>welcome</html>"),
        Reply(200, b'{"success":true,"data":{}}'),
        Reply(200, b'{"success":true,"data":null}'),
        Reply(302, b"", {"location": "/"}),
        Reply(403, json.dumps({"success": False, "error": {"code": "FORBIDDEN"}}).encode()),
        Reply(500, b""),
        Reply(503, b""),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}",
)
async def test_anything_else_is_no_answer_and_orders_nothing(
    bench: Bench, port: SmsPort, hands: ManualClock, reply: Reply
) -> None:
    bench.meddler.instead = reply
    with pytest.raises(SmsError):
        await port.settle_contract()
    assert port.contract == ""
    for call in (port.balance(), port.create(CreateRequest('{"product_id":1}', "k1")), port.read("1"), port.live()):
        with pytest.raises(SmsError):
            await call
    with pytest.raises(NotSent):
        port.create_body(Offer(1, 1), Terms(1))
    with pytest.raises(NotSent):
        port.reactivate_body("1", 1)
    assert len(bench.meddler.seen) == 1, "one look, and then the pause"
    bench.meddler.instead = None
    await hands.advance(700.0)
    await port.settle_contract()
    assert port.contract == bench.contract


async def test_the_pauses_grow(bench: Bench, port: SmsPort, hands: ManualClock) -> None:
    bench.world.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, times=1_000))
    looks = []
    for _ in range(120):
        with pytest.raises(SmsError):
            await port.settle_contract()
        looks.append(bench.arrived)
        await hands.advance(1.0)
    assert looks[0] == 1
    assert 6 <= looks[-1] <= 9


async def test_the_configuration_has_the_last_word(bench: Bench) -> None:
    assert isinstance(make_port("guide", bench.wire, bench.clock), GuideAdapter)
    assert isinstance(make_port("official", bench.wire, bench.clock), OfficialAdapter)
    assert isinstance(make_port("auto", bench.wire, bench.clock), DetectingAdapter)
