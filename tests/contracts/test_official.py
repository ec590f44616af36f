"""What only the official contract has: keys, ceilings, policies, allowances, the list of live orders, webhooks."""

import asyncio
import dataclasses
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.domain.errors import (
    AbuseGuard,
    CancelTooEarly,
    Conflict,
    Invalid,
    KeyReused,
    ProductGone,
    RateLimited,
    RemoteOrderMissing,
    SmsError,
    StillRunning,
    Unclear,
)
from bot.domain.orders import Offer, Policy, RemoteStatus
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Contract, Fault, FaultKind
from bot.sms.official import decode_live
from bot.sms.port import CreateRequest, Terms
from bot.sms.wire import Answer
from tests.contracts.bench import QUICK, Bench, Reply
from tests.contracts.test_outcomes import altered, attempt, rewritten

pytestmark = pytest.mark.asyncio(loop_scope="module")

Data = dict[str, Any]


@pytest.fixture
def contract() -> Contract:
    return "official"


async def offers(bench: Bench) -> list[Offer]:
    return [offer for offer in await bench.sms.offers(*bench.place) if offer.in_stock]


class TestKeys:
    @pytest.mark.parametrize(
        "fault",
        [
            Fault(kind=FaultKind.RESET_AFTER),
            Fault(kind=FaultKind.SILENCE_AFTER),
            Fault(kind=FaultKind.TRUNCATED),
            Fault(kind=FaultKind.ERROR_AFTER),
            Fault(kind=FaultKind.BROKEN_JSON),
            Fault(kind=FaultKind.RESET_BEFORE),
            Fault(kind=FaultKind.ERROR_BEFORE),
        ],
        ids=lambda fault: str(fault.kind),
    )
    async def test_a_replay_tells_what_became_of_the_first(self, bench: Bench, fault: Fault) -> None:
        told = await attempt(bench, fault)
        assert isinstance(told.error, Unclear)
        request = bench.request(await bench.offer())
        first, second = await bench.sms.create(request), await bench.sms.create(request)
        assert first.remote_id == second.remote_id
        assert len(bench.world.books.charges) == 1

    async def test_another_body_under_the_same_key_is_refused(self, bench: Bench) -> None:
        cheap, dear, *_ = await offers(bench)
        await bench.sms.create(bench.request(cheap, "k1"))
        with pytest.raises(KeyReused):
            await bench.sms.create(bench.request(dear, "k1"))
        assert len(bench.world.books.charges) == 1

    async def test_a_first_try_that_still_runs_says_so(self, bench: Bench) -> None:
        bench.world.create_takes = 0.3
        request = bench.request(await bench.offer())
        first = asyncio.create_task(bench.sms.create(request))
        arrived = bench.arrived
        while bench.arrived == arrived:
            await asyncio.sleep(0.005)
        with pytest.raises(StillRunning):
            await bench.sms.create(request)
        created = await first
        assert (await bench.sms.create(request)).remote_id == created.remote_id

    @pytest.mark.parametrize("key", ["", "a b", "x" * 129])
    async def test_a_key_of_another_alphabet_is_refused(self, bench: Bench, key: str) -> None:
        with pytest.raises(SmsError):
            await bench.sms.create(bench.request(await bench.offer(), key))
        assert bench.world.books.charges == []


class TestBodies:
    async def test_a_kind_is_ordered_with_its_ceiling(self, bench: Bench) -> None:
        offer = await bench.offer()
        body = json.loads(bench.sms.create_body(offer, Terms(offer.price)))
        assert body == {"catalog_product_id": offer.catalog_id, "max_price": offer.price, "policy": "cheapest"}

    async def test_a_product_without_a_kind_is_ordered_by_itself(self, bench: Bench) -> None:
        rows = await bench.sms.offers(bench.place[0], "Gojek")
        offer = next(row for row in rows if row.in_stock)
        assert offer.catalog_id is None
        terms = Terms(offer.price, Policy.BEST_SUCCESS, any_operator=False)
        assert json.loads(bench.sms.create_body(offer, terms)) == {"product_id": offer.product_id}
        await bench.sms.create(bench.request(offer))
        (charge,) = bench.world.books.charges
        assert charge.amount == offer.price

    async def test_no_more_than_the_ceiling_is_charged(self, bench: Bench) -> None:
        offer = await bench.offer()
        for product in bench.world.products("indonesia", "whatsapp"):
            product.price += 1
        with pytest.raises(ProductGone) as caught:
            await bench.sms.create(bench.request(offer))
        assert caught.value.code == "NO_OFFER_AVAILABLE"
        assert bench.world.books.charges == []

    async def test_the_best_of_a_kind_may_cost_more(self, bench: Bench) -> None:
        rows = await offers(bench)
        most = max(row.price for row in rows)
        body = bench.sms.create_body(rows[0], Terms(most, Policy.BEST_SUCCESS))
        created = await bench.sms.create(CreateRequest(body, "k1"))
        assert created.amount == most > rows[0].price

    async def test_an_operator_narrows_the_list_and_the_order(self, bench: Bench) -> None:
        country, platform = bench.place
        for product in bench.world.products("indonesia", "whatsapp"):
            product.available = 5
        for name in await bench.sms.operators(country, platform):
            rows = await bench.sms.offers(country, platform, name.name)
            assert {row.operator for row in rows} == {name.name}
            body = bench.sms.create_body(rows[0], Terms(rows[0].price, any_operator=False))
            created = await bench.sms.create(CreateRequest(body, f"k-{name.aliases[0]}"))
            product = bench.world.product(bench.booked(created).product_id)
            assert product.operator == name.name

    async def test_an_unknown_operator_has_no_offers(self, bench: Bench) -> None:
        assert await bench.sms.offers(*bench.place, "Verizon") == []
        assert await bench.sms.operators("Atlantis", "WhatsApp") == []

    async def test_a_product_that_left_the_catalog_is_gone(self, bench: Bench) -> None:
        offer = Offer(99_999_999, 100)
        with pytest.raises(ProductGone):
            await bench.sms.create(bench.request(offer))

    async def test_a_provider_that_fails_is_a_refusal(self, bench: Bench) -> None:
        bench.world.provider_errors = 1
        with pytest.raises(ProductGone) as caught:
            await bench.sms.create(bench.request(await bench.offer()))
        assert caught.value.code == "PROVIDER_ERROR"
        assert bench.world.books.charges == []

    async def test_all_pages_of_a_catalog_are_read(self, bench: Bench) -> None:
        for turn in range(1_200):
            bench.world.set_product("atlantis", "tides", 100 + turn, 1)
        rows = await bench.sms.offers("Atlantis", "Tides")
        assert [row.price for row in rows] == list(range(100, 1_300))

    async def test_names_that_are_alike_are_told_apart(self, bench: Bench) -> None:
        rows = [{"id": 1, "name": "Other", "code": "ot"}, {"id": 2, "name": "Other", "code": "op"}]
        bench.meddler.instead = Reply(body=json.dumps({"success": True, "data": rows}).encode())
        assert [found.name for found in await bench.sms.platforms()] == ["Other (ot)", "Other (op)"]


class TestAnswersAfterTheEffect:
    """A create that charged, and an answer that is not quite what was promised."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: None,
            lambda data: [data],
            lambda data: {},
            lambda data: data | {"orders": None},
            lambda data: data | {"orders": {}},
            lambda data: data | {"orders": []},
            lambda data: data | {"orders": ["x"]},
            lambda data: data | {"orders": [{"status": "ACTIVE"}]},
            lambda data: data | {"orders": [{"id": None}]},
            lambda data: data | {"orders": [{"id": True}]},
            lambda data: data | {"orders": [{"id": -1}]},
            lambda data: data | {"orders": [{"id": 10**40}]},
            lambda data: data | {"orders": [{"id": "ord_1"}]},
            lambda data: data | {"orders": [{"id": 1.5}]},
        ],
    )
    async def test_without_its_id_an_order_is_unclear(self, bench: Bench, change: Callable[[Data], Any]) -> None:
        told = await attempt(bench, spoil=altered(change))
        assert isinstance(told.error, Unclear)
        assert (told.sent, told.charged) == (1, 1)

    async def test_an_empty_list_with_a_failure_is_a_no(self, bench: Bench) -> None:
        reply = Reply(body=b'{"success":true,"data":{"orders":[],"failed_count":1}}')
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, ProductGone)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"phone_number": None}, {"phone_number": None}),
            ({"phone_number": 628123456789}, {"phone_number": "628123456789"}),
            ({"status": None}, {"status": None, "raw_status": "?"}),
            ({"status": "PAUSED"}, {"status": None, "raw_status": "PAUSED"}),
            ({"expires_at": "soon"}, {"expires_at": None}),
            ({"expires_at": 1773446400}, {"expires_at": None}),
            ({"amount": None}, {"amount": None}),
            ({"amount": "4200"}, {"amount": None}),
            ({"amount": -1}, {"amount": None}),
            ({"amount": 2**70}, {"amount": None}),
            ({"sms_revision": 0}, {"revision": None}),
            ({"sms_revision": -3}, {"revision": None}),
            ({"sms_revision": 2.5}, {"revision": None}),
            ({"sms_revision": 7}, {"revision": 7}),
            ({"otp_code": None, "otp_message": "hello"}, {"code": None, "text": "hello"}),
            ({"can_cancel": "yes"}, {"status": RemoteStatus.WAITING}),
            ({"cancel_available_at": "0000-00-00"}, {"status": RemoteStatus.WAITING}),
            ({"new_field": {"deep": [1, None]}}, {"status": RemoteStatus.WAITING}),
        ],
        ids=str,
    )
    async def test_with_its_id_it_is_kept(self, bench: Bench, fields: Data, expected: Data) -> None:
        told = await attempt(bench, spoil=altered(lambda data: data | {"orders": [data["orders"][0] | fields]}))
        assert told.order is not None
        assert bench.booked(told.order).price
        assert {name: getattr(told.order, name) for name in expected} == expected

    async def test_a_missing_flag_loses_no_order(self, bench: Bench) -> None:
        """The vendor's own client refuses such an answer."""

        def without_flags(data: Data) -> Data:
            order = {name: value for name, value in data["orders"][0].items() if not name.startswith("can_")}
            return data | {"orders": [order]}

        told = await attempt(bench, spoil=altered(without_flags))
        assert told.order is not None
        assert told.order.allowed is None

    @pytest.mark.parametrize(
        "body", [b"<html>fine</html>", b'{"success":false}', b'{"success":"true","data":{}}', b"", b"[" * 50_000]
    )
    async def test_a_200_that_is_none_is_never_a_success(self, bench: Bench, body: bytes) -> None:
        told = await attempt(bench, spoil=rewritten(lambda _: body))
        assert isinstance(told.error, SmsError)
        assert told.order is None


class TestOrders:
    async def test_the_charge_and_what_may_be_done_are_told(self, bench: Bench) -> None:
        created = await bench.order()
        assert created.amount == bench.booked(created).price
        assert created.allowed is not None
        assert created.allowed.cancel
        assert not created.allowed.finish

    async def test_the_list_shows_what_lives_and_its_codes(self, bench: Bench) -> None:
        first, second, third = [await bench.sms.create(bench.request(await bench.offer(), f"k{n}")) for n in range(3)]
        bench.world.arrive(first.remote_id, "123456")
        await bench.sms.cancel(second.remote_id)
        live = {order.remote_id: order for order in await bench.sms.live()}
        assert live.keys() == {first.remote_id, third.remote_id}
        shown = live[first.remote_id]
        assert (shown.status, shown.code, shown.revision) == (RemoteStatus.OTP_RECEIVED, "123456", 1)
        assert (shown.phone_number, shown.amount) == (None, None)

    async def test_each_sms_counts_even_with_the_same_digits(self, bench: Bench) -> None:
        created = await bench.order()
        seen = []
        for _ in range(3):
            bench.world.arrive(created.remote_id, "777777")
            seen.append((await bench.sms.read(created.remote_id)).revision)
        assert seen == [1, 2, 3]

    async def test_a_row_without_an_id_hides_no_other(self, bench: Bench) -> None:
        answer = Answer([{"status": "ACTIVE"}, {"id": 5, "status": "ACTIVE"}, 7, None], "r")
        assert list(decode_live(answer, {})) == ["5"]

    async def test_done_and_another_sms(self, bench: Bench) -> None:
        created = await bench.order()
        for early in (bench.sms.finish, bench.sms.resend):
            with pytest.raises(Conflict):
                await early(created.remote_id)
        bench.world.arrive(created.remote_id, "1234")
        await bench.sms.resend(created.remote_id)
        assert (await bench.sms.read(created.remote_id)).status is RemoteStatus.WAITING
        bench.world.arrive(created.remote_id, "5678")
        await bench.sms.finish(created.remote_id)
        assert (await bench.sms.read(created.remote_id)).status is RemoteStatus.COMPLETED

    async def test_a_number_is_rented_again_for_its_price(self, bench: Bench) -> None:
        created = await bench.order()
        with pytest.raises(Conflict):
            await bench.sms.reactivation_cost(created.remote_id)
        bench.world.arrive(created.remote_id, "1234")
        await bench.sms.finish(created.remote_id)
        cost = await bench.sms.reactivation_cost(created.remote_id)
        too_low = CreateRequest(bench.sms.reactivate_body(created.remote_id, cost - 1), "low", reactivates=True)
        with pytest.raises((ProductGone, Invalid)):
            await bench.sms.create(too_low)
        request = CreateRequest(bench.sms.reactivate_body(created.remote_id, cost), "again", reactivates=True)
        again, replayed = await bench.sms.create(request), await bench.sms.create(request)
        assert again == dataclasses.replace(replayed, request_id=again.request_id)
        assert again.phone_number == created.phone_number
        assert [charge.amount for charge in bench.world.books.charges] == [cost, cost]

    async def test_an_id_of_the_other_contract_is_missing_here(self, bench: Bench) -> None:
        seen = len(bench.meddler.seen)
        for call in (
            bench.sms.read("ord_abc123"),
            bench.sms.cancel("ord_abc123"),
            bench.sms.finish("ord_abc123"),
            bench.sms.reactivation_cost("ord_abc123"),
        ):
            with pytest.raises(RemoteOrderMissing):
                await call
        assert len(bench.meddler.seen) == seen


class TestCancel:
    async def test_tells_what_came_back(self, bench: Bench) -> None:
        created = await bench.order()
        ended = await bench.sms.cancel(created.remote_id)
        assert ended is not None
        assert (ended.status, ended.refunded) == (RemoteStatus.CANCELED, created.amount)

    async def test_an_answer_about_another_order_is_nobodys(self, bench: Bench) -> None:
        created = await bench.order()
        bench.meddler.spoil = altered(lambda data: data | {"order_id": 7})
        with pytest.raises(Unclear):
            await bench.sms.cancel(created.remote_id)

    async def test_an_answer_that_tells_no_refund_is_unclear(self, bench: Bench) -> None:
        created = await bench.order()
        bench.meddler.spoil = altered(lambda data: data | {"refund_amount": None})
        with pytest.raises(Unclear):
            await bench.sms.cancel(created.remote_id)
        assert len(bench.world.books.refunds) == 1

    async def test_too_early_says_from_when(self, bench: Bench) -> None:
        bench.world.cancel_window = 60.0
        created = await bench.order()
        assert created.allowed is not None
        assert not created.allowed.cancel
        assert created.allowed.cancel_from is not None
        with pytest.raises(CancelTooEarly):
            await bench.sms.cancel(created.remote_id)
        assert bench.budget.pause_left == 0

    async def test_the_days_cap_asks_nobody_else_for_patience(self, bench: Bench) -> None:
        bench.world.cancel_cap.per_day = 0
        created = await bench.order()
        with pytest.raises(RateLimited):
            await bench.sms.cancel(created.remote_id)
        assert bench.budget.pause_left == 0
        assert await bench.sms.balance() > 0


class TestGuard:
    async def test_says_how_long_and_stops_no_look(self, bench: Bench) -> None:
        created = await bench.order()
        bench.world.trip_abuse_guard(500.0)
        with pytest.raises(AbuseGuard) as caught:
            await bench.sms.create(bench.request(await bench.offer(), "k2"))
        assert caught.value.seconds == pytest.approx(500, abs=2)
        assert caught.value.until == pytest.approx(bench.clock.now() + 500, abs=3)
        assert bench.budget.pause_left == 0
        assert (await bench.sms.read(created.remote_id)).status is RemoteStatus.WAITING


class TestOddAnswers:
    """Small answers that the SDK decodes: whatever it makes of nonsense, here it is `Unclear`."""

    @pytest.mark.parametrize("data", [None, [], "x", 7, {}, {"order_id": "x"}, [[]], [7], [{"id": "x"}], {"cost": "1"}])
    async def test_nonsense_is_unclear(self, bench: Bench, data: object) -> None:
        calls: Mapping[str, Callable[[], Any]] = {
            "balance": bench.sms.balance,
            "cancel": lambda: bench.sms.cancel("1"),
            "finish": lambda: bench.sms.finish("1"),
            "resend": lambda: bench.sms.resend("1"),
            "cost": lambda: bench.sms.reactivation_cost("1"),
            "read": lambda: bench.sms.read("1"),
        }
        body = json.dumps({"success": True, "data": data}).encode()
        for call in calls.values():
            bench.meddler.instead = Reply(body=body)
            with pytest.raises(Unclear):
                await call()

    @pytest.mark.parametrize("row", [{}, {"id": None}, {"id": 1}, {"id": 1, "name": None}, {"id": "x", "name": "y"}])
    async def test_a_list_with_a_senseless_name_ends_in_an_error_of_ours_or_in_names(
        self, bench: Bench, row: Data
    ) -> None:
        bench.meddler.instead = Reply(body=json.dumps({"success": True, "data": [row]}).encode())
        for ask in (bench.sms.countries, bench.sms.platforms):
            try:
                assert all(isinstance(found.name, str) for found in await ask())
            except Unclear:
                continue


class TestWebhooks:
    async def test_where_events_go_is_read_and_changed(self, bench: Bench) -> None:
        assert (await bench.sms.webhook()).url == ""
        state = await bench.sms.send_webhooks_to("https://desk.example.test/smscode/webhook", "s" * 20)
        assert state.url == "https://desk.example.test/smscode/webhook"
        assert state.disabled == ""

    async def test_why_it_was_switched_off_is_read(self, bench: Bench) -> None:
        bench.webhooks.config.disabled_at = "2026-03-14T12:00:00Z"
        bench.webhooks.config.disabled_reason = "ten failures"
        bench.webhooks.config.failures = 10
        state = await bench.sms.webhook()
        assert (state.disabled, state.failures) == ("ten failures", 10)


@asynccontextmanager
async def listener(received: list[tuple[bytes, str]]) -> AsyncIterator[str]:
    """A receiver of events on loopback that takes everything."""

    async def take(request: Request) -> Response:
        received.append((await request.body(), request.headers.get("x-webhook-signature", "")))
        return Response(status_code=204)

    async with LoopbackServer(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as server:
        yield f"{server.url}/hook"


async def test_a_signed_event_says_what_the_api_says(bench: Bench) -> None:
    received: list[tuple[bytes, str]] = []
    async with listener(received) as url, bench.webhooks:
        bench.webhooks.change(url, "a secret of twenty letters")
        created = await bench.order()
        bench.world.arrive(created.remote_id, "246810")
        async with asyncio.timeout(5):
            while not received:
                await asyncio.sleep(0.01)
    ((body, signature),) = received
    expected = hmac.new(b"a secret of twenty letters", body, hashlib.sha256).hexdigest()
    assert signature == f"sha256={expected}"
    event = json.loads(body)
    assert event["event"] == "order.otp_received"
    assert str(event["data"]["order_id"]) == created.remote_id


async def test_timeouts_are_ours_whatever_the_sdk_would_do(bench: Bench) -> None:
    """Its own client waits for ever; through ours every call of it has an end."""
    bench.client.timeout = QUICK
    created = await bench.order()
    bench.world.faults.add(Fault(kind=FaultKind.SILENCE, times=5))
    for call in (bench.sms.cancel(created.remote_id), bench.sms.finish(created.remote_id), bench.sms.countries()):
        with pytest.raises(Unclear):
            await call
    assert isinstance(bench.client, httpx.AsyncClient)


async def test_nothing_is_sent_twice_by_itself(bench: Bench) -> None:
    for kind in (FaultKind.ERROR_BEFORE, FaultKind.HTML, FaultKind.RESET_BEFORE):
        bench.world.faults.add(Fault(kind=kind))
        seen = len(bench.meddler.seen)
        with pytest.raises(Unclear):
            await bench.sms.finish("1")
        assert len(bench.meddler.seen) == seen + 1
