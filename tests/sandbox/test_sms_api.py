"""The simulated SMSCode over real HTTP: what it answers, what it refuses, what it does to the books."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import (
    COUNTRIES,
    PLATFORMS,
    ErrorCode,
    Fault,
    FaultKind,
    RandomFaults,
    RefundReason,
    SmsApiError,
    SmsWorld,
    sms_app,
    sms_control_app,
)
from tests.sandbox.clients import http_client

TOKEN = "the-right-token"
CREATE = "POST /v1/orders"
READ = "GET /v1/orders/{id}"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(clock: Clock) -> SmsWorld:
    return SmsWorld(token=TOKEN, now=clock, arrival=None, requests_per_minute=None)


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(world: SmsWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        LoopbackServer(sms_app(world)) as server,
        http_client(server.url, headers=_headers()) as client,
    ):
        yield client


@pytest.fixture
async def api(world: SmsWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with served(world) as client:
        yield client


@pytest.fixture
async def control(world: SmsWorld) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        LoopbackServer(sms_control_app(world)) as server,
        http_client(server.url) as client,
    ):
        yield client


def cheapest(world: SmsWorld, country: str = "indonesia", platform: str = "whatsapp") -> Any:
    return min(world.products(country, platform), key=lambda product: product.price)


async def ordered(api: httpx.AsyncClient, world: SmsWorld) -> str:
    answer = await api.post("/v1/orders", json={"product_id": cheapest(world).id})
    assert answer.status_code == 200
    order_id: str = answer.json()["data"]["order_id"]
    return order_id


async def until(done: Callable[[], bool]) -> None:
    """Look again and again: the books belong to no task that could signal a change."""
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never happened")


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code)
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert body["error"]["message"]
    assert answer.headers["x-request-id"].startswith("req_")


def assert_untouched(world: SmsWorld) -> None:
    assert not world.books.orders
    assert not world.books.charges
    assert world.balance == world.books.opening


class TestRoutes:
    async def test_balance(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v1/balance")

        assert answer.status_code == 200
        assert answer.json() == {"success": True, "data": {"currency": "IDR", "balance": 150_000}}
        assert answer.headers["content-type"] == "application/json"

    async def test_request_ids_differ(self, api: httpx.AsyncClient) -> None:
        ids = {(await api.get("/v1/balance")).headers["x-request-id"] for _ in range(5)}

        assert len(ids) == 5

    async def test_catalog_filters_by_any_combination(self, api: httpx.AsyncClient) -> None:
        async def rows(**query: str) -> list[dict[str, Any]]:
            data: list[dict[str, Any]] = (await api.get("/v1/catalog/products", params=query)).json()["data"]
            return data

        everything = await rows()
        country = await rows(country="Indonesia")
        platform = await rows(platform="whatsapp")
        pair = await rows(country="indonesia", platform="WhatsApp")

        assert country == [row for row in everything if row["country"] == "indonesia"]
        assert platform == [row for row in everything if row["platform"] == "whatsapp"]
        assert pair == [row for row in country if row in platform]
        assert len(pair) >= 2
        assert await rows(country="atlantis") == []
        assert set(pair[0]) == {"id", "name", "country", "platform", "price", "available"}

    async def test_create_answers_as_the_guide_does(
        self, api: httpx.AsyncClient, world: SmsWorld, clock: Clock
    ) -> None:
        product = cheapest(world)
        stock = product.available

        answer = await api.post("/v1/orders", json={"product_id": product.id})

        data = answer.json()["data"]
        assert list(data) == ["order_id", "phone_number", "status", "expires_at"]
        assert re.fullmatch(r"ord_[a-z0-9]{12}", data["order_id"])
        assert re.fullmatch(r"\+62812\d{8}", data["phone_number"])
        assert data["status"] == "WAITING"
        assert data["expires_at"] == "2027-01-15T08:20:00Z"
        assert product.available == stock - 1
        assert [(charge.order_id, charge.amount, charge.at) for charge in world.books.charges] == [
            (data["order_id"], product.price, clock.at)
        ]
        assert world.balance == 150_000 - product.price

    async def test_read_carries_a_code_only_once_there_is_one(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = await ordered(api, world)
        waiting = (await api.get(f"/v1/orders/{order_id}")).json()["data"]
        world.arrive(order_id, "847291")
        received = (await api.get(f"/v1/orders/{order_id}")).json()["data"]

        assert list(waiting) == ["order_id", "status", "phone_number", "expires_at"]
        assert waiting["status"] == "WAITING"
        assert received == waiting | {"status": "OTP_RECEIVED", "otp_code": "847291"}

    async def test_an_sms_without_a_code_is_received_without_one(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = await ordered(api, world)
        world.arrive(order_id, text="Tap the link to sign in")

        data = (await api.get(f"/v1/orders/{order_id}")).json()["data"]

        assert data["status"] == "OTP_RECEIVED"
        assert "otp_code" not in data

    async def test_cancel_before_the_code_refunds(self, api: httpx.AsyncClient, world: SmsWorld, clock: Clock) -> None:
        order_id = await ordered(api, world)
        clock.at += 30

        answer = await api.post(f"/v1/orders/{order_id}/cancel")

        assert answer.json()["data"]["status"] == "CANCELLED"
        (refund,) = world.books.refunds
        (charge,) = world.books.charges_of(order_id)
        assert (refund.order_id, refund.amount) == (order_id, charge.amount)
        assert (refund.reason, refund.at) == (RefundReason.CANCELLED, clock.at)
        assert world.balance == 150_000

    async def test_cancel_after_the_code_refunds_nothing(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = await ordered(api, world)
        world.arrive(order_id)

        answer = await api.post(f"/v1/orders/{order_id}/cancel")

        assert answer.status_code == 200
        assert answer.json()["data"]["status"] == "CANCELLED"
        assert world.books.refunds == []
        assert world.books.spent == cheapest(world).price


class TestRefusals:
    @pytest.mark.parametrize(
        "authorization",
        [[], ["Bearer wrong"], ["Basic the-right-token"], ["the-right-token"], ["Bearer  the-right-token"], ["Bearer"]],
    )
    async def test_unauthorized(self, api: httpx.AsyncClient, world: SmsWorld, authorization: list[str]) -> None:
        request = api.build_request("POST", "/v1/orders", json={"product_id": cheapest(world).id})
        del request.headers["Authorization"]
        pairs = [*request.headers.multi_items(), *(("Authorization", value) for value in authorization)]
        request.headers = httpx.Headers(pairs)

        assert_refused(await api.send(request), 401, "UNAUTHORIZED")
        assert_untouched(world)

    async def test_two_authorizations_are_none(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        request = api.build_request("GET", "/v1/balance")
        twice = [*request.headers.multi_items(), ("Authorization", f"Bearer {TOKEN}")]
        request.headers = httpx.Headers(twice)

        assert_refused(await api.send(request), 401, "UNAUTHORIZED")
        assert world.books.answers == {401: 1}

    async def test_a_token_beyond_ascii_is_merely_wrong(self, api: httpx.AsyncClient) -> None:
        answer = await api.get("/v1/balance", headers={b"Authorization": "Bearer tökén".encode()})

        assert_refused(answer, 401, "UNAUTHORIZED")

    async def test_insufficient_balance(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        product = cheapest(world)
        stock = product.available
        world.set_balance(product.price - 1)

        answer = await api.post("/v1/orders", json={"product_id": product.id})

        assert_refused(answer, 402, "INSUFFICIENT_BALANCE")
        assert product.available == stock
        assert world.books.charges == []
        assert world.balance == product.price - 1

    async def test_sold_out_and_unknown_products(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        product = cheapest(world)
        world.sold_out(product.id)

        assert_refused(await api.post("/v1/orders", json={"product_id": product.id}), 409, "PRODUCT_UNAVAILABLE")
        assert_refused(await api.post("/v1/orders", json={"product_id": 1}), 409, "PRODUCT_UNAVAILABLE")
        assert_untouched(world)

    async def test_the_last_number_is_sold_once(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        product_id = world.set_product("indonesia", "whatsapp", 1_500, 1)

        answers = await asyncio.gather(*(api.post("/v1/orders", json={"product_id": product_id}) for _ in range(8)))

        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
        assert world.books.charged == 1_500

    @pytest.mark.parametrize("path", ["/v1/orders/ord_missing", "/v1/orders/active"])
    async def test_order_not_found(self, api: httpx.AsyncClient, path: str) -> None:
        assert_refused(await api.get(path), 404, "ORDER_NOT_FOUND")
        assert_refused(await api.post("/v1/orders/ord_missing/cancel"), 404, "ORDER_NOT_FOUND")

    @pytest.mark.parametrize("ending", ["cancel", "expire", "complete"])
    async def test_an_ended_order_cannot_be_cancelled(
        self, api: httpx.AsyncClient, world: SmsWorld, ending: str
    ) -> None:
        order_id = await ordered(api, world)
        endings = {"cancel": world.cancel_order, "expire": world.expire, "complete": world.complete}
        endings[ending](order_id)
        refunds = list(world.books.refunds)

        assert_refused(await api.post(f"/v1/orders/{order_id}/cancel"), 409, "ORDER_NOT_CANCELLABLE")
        assert world.books.refunds == refunds

    async def test_unknown_routes_and_methods(self, api: httpx.AsyncClient) -> None:
        assert_refused(await api.get("/v1/webhook"), 404, "NOT_FOUND")
        assert_refused(await api.get("/v1/balance/"), 404, "NOT_FOUND")
        refused = await api.get("/v1/orders")
        assert_refused(refused, 405, "METHOD_NOT_ALLOWED")
        assert refused.headers["allow"] == "POST"

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"{",
            b'{"product_id": 1} x',
            b'{"product_id": "ID"}',
            b'{"product_id": ID.0}',
            b'{"product_id": true}',
            b'{"product_id": null}',
            b'{"product_id": -1}',
            b'{"product_id": ID, "max_price": 9}',
            b'{"product_id": ID, "note": "\xff"}',
            b"[" * 60_000,
        ],
    )
    async def test_a_body_must_fit_exactly(self, api: httpx.AsyncClient, world: SmsWorld, body: bytes) -> None:
        content = body.replace(b"ID", str(cheapest(world).id).encode())

        answer = await api.post("/v1/orders", content=content, headers={"Content-Type": "application/json"})

        assert_refused(answer, 422, "VALIDATION_ERROR")
        assert_untouched(world)

    @pytest.mark.parametrize("label", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
    async def test_a_body_must_be_labelled_as_json(
        self, api: httpx.AsyncClient, world: SmsWorld, label: str | None
    ) -> None:
        body = json.dumps({"product_id": cheapest(world).id})
        headers = {} if label is None else {"Content-Type": label}

        assert_refused(await api.post("/v1/orders", content=body, headers=headers), 422, "VALIDATION_ERROR")
        assert_untouched(world)

    async def test_a_charset_beside_the_label_is_fine(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        body = json.dumps({"product_id": cheapest(world).id})

        answer = await api.post("/v1/orders", content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"})

        assert answer.status_code == 200

    async def test_queries_are_read_strictly(self, api: httpx.AsyncClient) -> None:
        for path in (
            "/v1/catalog/products?country_id=6",
            "/v1/catalog/products?country=a&country=b",
            "/v1/balance?x=1",
            "/v1/orders/ord_missing?x=1",
        ):
            assert_refused(await api.get(path), 422, "VALIDATION_ERROR")

    async def test_routes_without_a_body_refuse_one(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = await ordered(api, world)

        answer = await api.post(f"/v1/orders/{order_id}/cancel", json={"id": 1})

        assert_refused(answer, 422, "VALIDATION_ERROR")
        assert world.order(order_id).live

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_body_over_64_kib_is_too_large(
        self, api: httpx.AsyncClient, world: SmsWorld, streamed: bool
    ) -> None:
        fitting = json.dumps({"product_id": cheapest(world).id}).ljust(64 * 1024)

        async def chunks() -> AsyncIterator[bytes]:
            yield fitting.encode()
            yield b" " * 500_000

        content = chunks() if streamed else fitting + " "
        headers = {"Content-Type": "application/json"}
        assert_refused(await api.post("/v1/orders", content=content, headers=headers), 413, "PAYLOAD_TOO_LARGE")
        assert_untouched(world)
        assert (await api.post("/v1/orders", content=fitting, headers=headers)).status_code == 200

    @pytest.mark.parametrize("half_closed", [True, False])
    async def test_a_body_cut_short_has_no_effect(
        self, api: httpx.AsyncClient, world: SmsWorld, half_closed: bool
    ) -> None:
        # What has arrived is a whole JSON document: only its length tells that it was cut.
        body = json.dumps({"product_id": cheapest(world).id}).encode()
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body) + 5}\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
        writer.write(head.encode() + body)
        await writer.drain()
        await until(lambda: bool(world.books.requests))
        if half_closed:
            writer.write_eof()
            await reader.read()
        writer.close()
        await writer.wait_closed()

        # A request made afterwards is answered afterwards: the cut one has had its chance.
        assert (await api.get("/v1/balance")).json()["data"]["balance"] == 150_000
        assert_untouched(world)


class TestTime:
    @asynccontextmanager
    async def _order(self, clock: Clock, **options: Any) -> AsyncIterator[tuple[SmsWorld, Callable[[], Any]]]:
        world = SmsWorld(token=TOKEN, now=clock, **options)
        async with served(world) as api:
            order_id = await ordered(api, world)

            async def read() -> dict[str, Any]:
                data: dict[str, Any] = (await api.get(f"/v1/orders/{order_id}")).json()["data"]
                return data

            yield world, read

    async def test_the_sms_comes_when_its_time_has_come(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(4, 9)) as (world, read):
            start = clock.at
            clock.at = start + 3.9
            assert (await read())["status"] == "WAITING"
            clock.at = start + 9
            received = await read()

            assert received["status"] == "OTP_RECEIVED"
            assert re.fullmatch(r"\d{6}", received["otp_code"])
            (sms,) = world.books.messages
            assert 4 <= sms.at - start <= 9
            assert sms.shown_at == clock.at

    async def test_shown_is_the_first_look(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(5, 5)) as (world, read):
            clock.at += 5
            assert world.books.messages[0].shown_at is None
            assert world.books.shown_codes() == []
            await read()
            first_look = clock.at
            clock.at += 7
            await read()

            assert world.books.messages[0].shown_at == first_look

    async def test_a_second_sms_updates_the_code(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(5, 5), second_sms_after=20) as (world, read):
            clock.at += 5
            first = (await read())["otp_code"]
            clock.at += 20
            second = (await read())["otp_code"]

            assert first != second
            assert [sms.code for sms in world.books.messages] == [first, second]
            assert [sms.revision for sms in world.books.messages] == [1, 2]

    async def test_an_overwritten_code_was_never_shown(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(5, 5), second_sms_after=20) as (world, read):
            clock.at += 25
            await read()

            assert [sms.shown_at for sms in world.books.messages] == [None, clock.at]

    async def test_an_order_completes_by_itself_and_keeps_its_code(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(5, 5), complete_after=60) as (world, read):
            clock.at += 64.9
            assert (await read())["status"] == "OTP_RECEIVED"
            clock.at += 0.1
            completed = await read()

            assert completed["status"] == "COMPLETED"
            assert completed["otp_code"] == world.books.messages[0].code
            assert world.live_orders() == []
            assert world.books.refunds == []

    async def test_an_order_without_a_code_expires_with_a_refund(self, clock: Clock) -> None:
        async with self._order(clock, arrival=None, order_lifetime=300) as (world, read):
            start = clock.at
            clock.at = start + 299.9
            assert (await read())["status"] == "WAITING"
            clock.at = start + 5_000

            assert (await read())["status"] == "EXPIRED"
            (refund,) = world.books.refunds
            assert (refund.reason, refund.at) == (RefundReason.EXPIRED, start + 300)
            assert world.balance == 150_000

    async def test_an_expiry_may_keep_the_money(self, clock: Clock) -> None:
        async with self._order(clock, arrival=None, refund_expired=False) as (world, read):
            clock.at += 1_200

            assert (await read())["status"] == "EXPIRED"
            assert world.books.refunds == []
            assert world.books.spent > 0

    async def test_an_order_with_a_code_that_does_not_complete_expires_unrefunded(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(5, 5), complete_after=None) as (world, read):
            clock.at += 1_200
            expired = await read()

            assert expired["status"] == "EXPIRED"
            assert "otp_code" in expired
            assert world.books.refunds == []

    async def test_an_sms_after_the_window_never_comes(self, clock: Clock) -> None:
        async with self._order(clock, arrival=(50, 50), order_lifetime=40) as (world, read):
            clock.at += 100

            assert (await read())["status"] == "EXPIRED"
            assert world.books.messages == []

    async def test_the_balance_sees_a_refund_that_nobody_has_read(self, clock: Clock) -> None:
        async with self._order(clock, arrival=None) as (world, _):
            clock.at += 1_200

            assert world.balance == 150_000


class TestScript:
    async def test_a_told_sms_replaces_the_scheduled_one(self, clock: Clock) -> None:
        world = SmsWorld(now=clock, arrival=(5, 5))
        order = world.create_order(cheapest(world).id)
        world.arrive(order.id, "111111")
        clock.at += 30

        assert [sms.code for sms in world.books.messages] == ["111111"]

    async def test_a_told_sms_may_come_again(self, world: SmsWorld) -> None:
        order = world.create_order(cheapest(world).id)
        world.arrive(order.id, "111111")
        world.arrive(order.id, "222222", "222222, for the second time")

        texts = [(sms.code, sms.text) for sms in world.books.messages_of(order.id)]
        assert texts == [
            ("111111", "111111 is your whatsapp code."),
            ("222222", "222222, for the second time"),
        ]

    async def test_an_ended_order_takes_no_sms(self, world: SmsWorld) -> None:
        order = world.create_order(cheapest(world).id)
        world.expire(order.id)

        for move in (world.arrive, world.expire, world.complete):
            with pytest.raises(SmsApiError) as refused:
                move(order.id)
            assert refused.value.code is ErrorCode.ORDER_ENDED
        assert world.books.messages == []
        assert len(world.books.refunds_of(order.id)) == 1

    async def test_a_status_nobody_has_seen(self, api: httpx.AsyncClient, world: SmsWorld, clock: Clock) -> None:
        order_id = await ordered(api, world)
        world.set_status(order_id, "HELD_FOR_REVIEW")
        clock.at += 100_000

        assert (await api.get(f"/v1/orders/{order_id}")).json()["data"]["status"] == "HELD_FOR_REVIEW"
        assert [order.id for order in world.live_orders()] == [order_id]

    async def test_a_woken_order_is_refunded_only_once(self, world: SmsWorld) -> None:
        order = world.create_order(cheapest(world).id)
        world.expire(order.id)
        world.set_status(order.id, "WAITING")
        world.cancel_order(order.id)

        assert len(world.books.refunds_of(order.id)) == 1
        assert world.balance == 150_000

    async def test_books_balance_with_an_unexplained_change(self, world: SmsWorld) -> None:
        world.create_order(cheapest(world).id)
        world.set_balance(9_999)

        books = world.books
        (adjustment,) = books.adjustments
        assert books.balance == 9_999
        assert books.opening + adjustment.amount - books.charged == 9_999


class TestCatalog:
    @pytest.mark.parametrize("seed", [0, 1, 2026])
    def test_prices_are_sensible_and_sort(self, seed: int) -> None:
        world = SmsWorld(seed=seed)
        products = world.products()

        assert all(1_500 <= product.price <= 20_000 for product in products)
        pairs = {(product.country, product.platform) for product in products}
        for country, platform in pairs:
            rows = world.products(country, platform)
            assert len({row.price for row in rows}) == len(rows) >= 2
            assert cheapest(world, country, platform).available > 0
        assert len(pairs) < len(COUNTRIES) * len(PLATFORMS)
        assert {
            ("indonesia", "whatsapp"),
            ("indonesia", "telegram"),
            ("vietnam", "whatsapp"),
            ("philippines", "google"),
        } <= pairs
        prices = [cheapest(world, country.slug, "whatsapp").price for country in COUNTRIES]
        assert cheapest(world).price <= min(prices) + 250

    def test_ids_come_from_the_seed(self) -> None:
        def ids(seed: int) -> list[int]:
            return [product.id for product in SmsWorld(seed=seed).products()]

        assert ids(1) == ids(1)
        assert set(ids(1)) != set(ids(2))
        assert len(set(ids(1))) == len(ids(1))

    @pytest.mark.parametrize("country", COUNTRIES, ids=lambda country: country.slug)
    def test_numbers_fit_their_country(self, world: SmsWorld, country: Any) -> None:
        order = world.create_order(cheapest(world, country.slug, "google").id)

        assert order.phone_number.startswith(f"+{country.calling_code}{country.mobile_prefix}")
        assert re.fullmatch(r"\+[1-9]\d{9,14}", order.phone_number)

    def test_no_number_is_given_twice(self) -> None:
        world = SmsWorld(balance=10_000_000)
        product_id = world.set_product("indonesia", "whatsapp", 1_500, 500)
        numbers = {world.create_order(product_id).phone_number for _ in range(500)}

        assert len(numbers) == 500

    def test_nothing_goes_below_zero(self, world: SmsWorld) -> None:
        product = cheapest(world)
        for act in (
            lambda: world.set_stock(product.id, -1),
            lambda: world.set_product("indonesia", "whatsapp", -1, 1),
            lambda: world.set_product("indonesia", "whatsapp", 1, -1),
        ):
            with pytest.raises(ValueError, match="below zero"):
                act()
        assert product.available > 0

    async def test_the_catalog_can_be_replaced(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.clear_catalog()
        first = world.set_product("Atlantis", "WhatsApp", 2_000, 3)
        second = world.set_product("atlantis", "whatsapp", 1_800, 3, name="Deep")
        world.set_product("atlantis", "whatsapp", 2_100, 1, product_id=first, name="Deeper")

        rows = (await api.get("/v1/catalog/products")).json()["data"]
        assert [(row["id"], row["name"], row["price"], row["available"]) for row in rows] == [
            (first, "Deeper", 2_100, 1),
            (second, "Deep", 1_800, 3),
        ]
        answer = await api.post("/v1/orders", json={"product_id": second})
        assert answer.json()["data"]["phone_number"].startswith("+883")


class TestReplay:
    def _story(self, seed: int) -> list[object]:
        clock = Clock()
        world = SmsWorld(seed=seed, now=clock, second_sms_after=30)
        for country in ("indonesia", "vietnam", "germany"):
            world.create_order(cheapest(world, country).id)
            clock.at += 2
        clock.at += 60
        books = world.books
        return [books.charges, list(books.orders.values()), books.messages, world.next_request_id()]

    def test_the_same_seed_tells_the_same_story(self) -> None:
        assert self._story(7) == self._story(7)
        assert self._story(7) != self._story(8)

    def test_a_refused_order_does_not_shift_the_next(self) -> None:
        clock = Clock()
        calm, troubled = SmsWorld(seed=3, now=clock), SmsWorld(seed=3, now=clock)
        with pytest.raises(SmsApiError):
            troubled.create_order(1)

        assert calm.create_order(cheapest(calm).id) == troubled.create_order(cheapest(troubled).id)


class TestRateLimit:
    async def test_over_the_limit_until_the_window_has_moved(self, clock: Clock) -> None:
        world = SmsWorld(token=TOKEN, now=clock, requests_per_minute=3)
        async with served(world) as api:
            for _ in range(3):
                assert (await api.get("/v1/balance")).status_code == 200
                clock.at += 10
            refused = await api.get("/v1/balance")
            assert_refused(refused, 429, "RATE_LIMITED")
            assert refused.headers["retry-after"] == "30"
            assert world.books.answers_429 == 1
            assert world.requests_last_minute() == 4

            clock.at += 29
            assert (await api.get("/v1/balance")).headers["retry-after"] == "1"
            clock.at += 1
            assert (await api.get("/v1/balance")).status_code == 200
            assert world.requests_last_minute() == 5

    async def test_a_refused_create_charges_nothing(self, clock: Clock) -> None:
        world = SmsWorld(token=TOKEN, now=clock, requests_per_minute=0)
        async with served(world) as api:
            answer = await api.post("/v1/orders", json={"product_id": cheapest(world).id})

        assert_refused(answer, 429, "RATE_LIMITED")
        assert_untouched(world)

    async def test_strangers_do_not_use_up_the_limit(self, clock: Clock) -> None:
        world = SmsWorld(token=TOKEN, now=clock, requests_per_minute=1)
        async with served(world) as api:
            for _ in range(3):
                await api.get("/v1/balance", headers={"Authorization": "Bearer wrong"})

            assert (await api.get("/v1/balance")).status_code == 200

    async def test_requests_are_counted_by_route_and_answers_by_status(
        self, api: httpx.AsyncClient, world: SmsWorld
    ) -> None:
        order_id = await ordered(api, world)
        await api.get(f"/v1/orders/{order_id}")
        await api.get("/v1/orders/ord_missing")
        await api.delete("/v1/orders")
        await api.get("/nowhere")

        assert world.books.requests == {
            ("POST", "/v1/orders"): 1,
            ("GET", "/v1/orders/{id}"): 2,
            ("DELETE", "/v1/orders"): 1,
            ("GET", "(unmatched)"): 1,
        }
        assert world.books.answers == {200: 2, 404: 2, 405: 1}


async def try_create(api: httpx.AsyncClient, world: SmsWorld) -> httpx.Response:
    return await api.post("/v1/orders", json={"product_id": cheapest(world).id}, timeout=0.3)


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "error", "effect"),
        [
            (FaultKind.RESET_BEFORE, httpx.ReadError, False),
            (FaultKind.RESET_AFTER, httpx.ReadError, True),
            (FaultKind.TRUNCATED, httpx.RemoteProtocolError, True),
            (FaultKind.SILENCE, httpx.ReadTimeout, False),
            (FaultKind.SILENCE_AFTER, httpx.ReadTimeout, True),
        ],
    )
    async def test_no_answer(
        self, api: httpx.AsyncClient, world: SmsWorld, kind: FaultKind, error: type[Exception], effect: bool
    ) -> None:
        world.faults.add(Fault(route=CREATE, kind=kind))

        with pytest.raises(error):
            await try_create(api, world)

        assert len(world.books.orders) == len(world.books.charges) == int(effect)
        (event,) = world.faults.log
        assert (event.call, event.route, event.fault.kind) == (1, CREATE, kind)
        assert event.effect_status == (200 if effect else None)
        assert (await try_create(api, world)).status_code == 200

    @pytest.mark.parametrize(
        ("kind", "status", "code", "effect"),
        [
            (FaultKind.ERROR_BEFORE, 500, "INTERNAL_ERROR", False),
            (FaultKind.ERROR_AFTER, 500, "INTERNAL_ERROR", True),
            (FaultKind.RATE_LIMITED, 429, "RATE_LIMITED", False),
            (FaultKind.UNAVAILABLE, 503, "SERVICE_UNAVAILABLE", False),
        ],
    )
    async def test_an_error_in_the_envelope(
        self, api: httpx.AsyncClient, world: SmsWorld, kind: FaultKind, status: int, code: str, effect: bool
    ) -> None:
        world.faults.add(Fault(route=CREATE, kind=kind))

        answer = await try_create(api, world)

        assert_refused(answer, status, code)
        assert "retry-after" not in answer.headers
        assert len(world.books.charges) == int(effect)
        assert world.books.answers == {status: 1}

    @pytest.mark.parametrize("retry_after", [7, "Fri, 15 Jan 2027 08:00:07 GMT"])
    @pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.UNAVAILABLE])
    async def test_retry_after(
        self, api: httpx.AsyncClient, world: SmsWorld, kind: FaultKind, retry_after: int | str
    ) -> None:
        world.faults.add(Fault(kind=kind, retry_after=retry_after))

        assert (await api.get("/v1/balance")).headers["retry-after"] == str(retry_after)

    async def test_a_status_of_choice(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, status=504))

        assert (await api.get("/v1/balance")).status_code == 504

    @pytest.mark.parametrize("effect", [False, True])
    async def test_a_html_page(self, api: httpx.AsyncClient, world: SmsWorld, effect: bool) -> None:
        world.faults.add(Fault(route=CREATE, kind=FaultKind.HTML, effect=effect))

        answer = await try_create(api, world)

        assert answer.status_code == 502
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.text.startswith("<html>")
        assert answer.headers["x-request-id"]
        assert len(world.books.charges) == int(effect)

    async def test_a_wrong_type(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(route=CREATE, kind=FaultKind.WRONG_TYPE))

        answer = await try_create(api, world)

        assert answer.status_code == 200
        assert answer.headers.get_list("content-type") == ["text/html; charset=utf-8"]
        assert answer.json()["data"]["order_id"] in world.books.orders

    async def test_broken_json(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(route=CREATE, kind=FaultKind.BROKEN_JSON))

        answer = await try_create(api, world)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(json.JSONDecodeError):
            answer.json()
        assert len(world.books.charges) == 1

    async def test_late_takes_effect_at_once(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(route=CREATE, kind=FaultKind.LATE, seconds=0.6))

        with pytest.raises(httpx.ReadTimeout):
            await try_create(api, world)

        assert len(world.books.charges) == 1

    async def test_slow_takes_effect_after_the_client_has_left(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(route=CREATE, kind=FaultKind.SLOW, seconds=0.6))

        with pytest.raises(httpx.ReadTimeout):
            await try_create(api, world)

        assert_untouched(world)
        await until(lambda: bool(world.books.charges))

    @pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.SLOW])
    async def test_a_patient_client_gets_its_answer(
        self, api: httpx.AsyncClient, world: SmsWorld, kind: FaultKind
    ) -> None:
        world.faults.add(Fault(route=CREATE, kind=kind, seconds=0.1))
        started = asyncio.get_running_loop().time()

        answer = await api.post("/v1/orders", json={"product_id": cheapest(world).id})

        assert answer.json()["data"]["order_id"] in world.books.orders
        assert asyncio.get_running_loop().time() - started >= 0.1

    @pytest.mark.parametrize(
        "kind",
        [
            FaultKind.RESET_AFTER,
            FaultKind.TRUNCATED,
            FaultKind.SILENCE_AFTER,
            FaultKind.ERROR_AFTER,
            FaultKind.BROKEN_JSON,
            FaultKind.WRONG_TYPE,
        ],
    )
    async def test_a_spoilt_answer_has_shown_no_code(
        self, api: httpx.AsyncClient, world: SmsWorld, kind: FaultKind
    ) -> None:
        order_id = await ordered(api, world)
        sms = world.arrive(order_id)
        world.faults.add(Fault(route=READ, kind=kind))
        with suppress(httpx.TransportError):
            await api.get(f"/v1/orders/{order_id}", timeout=0.3)
        assert sms.shown_at is None

        await api.get(f"/v1/orders/{order_id}")
        assert sms.shown_at is not None

    async def test_a_late_answer_to_nobody_has_shown_no_code(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = await ordered(api, world)
        sms = world.arrive(order_id)
        world.faults.add(Fault(route=READ, kind=FaultKind.LATE, seconds=0.3))
        with pytest.raises(httpx.ReadTimeout):
            await api.get(f"/v1/orders/{order_id}", timeout=0.1)
        await asyncio.sleep(0.4)

        assert sms.shown_at is None
        assert world.books.answers == {200: 1}

    async def test_routes_times_and_good_calls_before(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(
            Fault(route="GET /v1/balance", kind=FaultKind.UNAVAILABLE, after_calls=1, times=2),
            Fault(kind=FaultKind.RATE_LIMITED, after_calls=2),
        )
        paths = ["balance", "catalog/products", "balance", "balance", "balance", "balance"]

        statuses = [(await api.get(f"/v1/{path}")).status_code for path in paths]

        # The second fault sees the calls that the first one lets pass: 1, 2, and then 5.
        assert statuses == [200, 200, 503, 503, 429, 200]
        assert [event.call for event in world.faults.log] == [3, 4, 5]
        assert world.faults.queued == []

    async def test_cleared_faults_do_not_strike(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.faults.add(Fault(kind=FaultKind.UNAVAILABLE, times=9))
        world.faults.random = RandomFaults({FaultKind.UNAVAILABLE: 1.0}, seed=1)
        world.faults.clear()

        assert (await api.get("/v1/balance")).status_code == 200

    async def test_random_faults_repeat_with_their_seed(self, clock: Clock) -> None:
        async def run(seed: int) -> list[tuple[int, FaultKind]]:
            world = SmsWorld(token=TOKEN, now=clock)
            probabilities = {FaultKind.UNAVAILABLE: 0.3, FaultKind.HTML: 0.2}
            world.faults.random = RandomFaults(probabilities, seed, route="GET /v1/balance")
            async with served(world) as api:
                for _ in range(20):
                    await api.get("/v1/balance")
                    await api.get("/v1/orders/ord_missing")
            assert {event.route for event in world.faults.log} == {"GET /v1/balance"}
            return [(event.call, event.fault.kind) for event in world.faults.log]

        first = await run(5)

        assert first == await run(5)
        assert first != await run(6)
        assert {kind for _, kind in first} == {FaultKind.UNAVAILABLE, FaultKind.HTML}
        assert 3 <= len(first) <= 17

    @pytest.mark.parametrize(
        "wrong",
        [{"times": 0}, {"after_calls": -1}, {"seconds": -1.0}, {"seconds": float("nan")}, {"status": 200}],
    )
    def test_an_impossible_fault_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"must|starts"):
            Fault(kind=FaultKind.LATE, **wrong)

    def test_impossible_probabilities_are_refused(self) -> None:
        for probabilities in ({FaultKind.LATE: -0.1}, {FaultKind.LATE: 0.6, FaultKind.HTML: 0.6}):
            with pytest.raises(ValueError, match="probabilities"):
                RandomFaults(probabilities, seed=1)

    async def test_while_down_every_request_is_reset(self, api: httpx.AsyncClient, world: SmsWorld) -> None:
        world.down = True
        for attempt in (try_create(api, world), api.get("/v1/balance"), api.get("/v1/nowhere")):
            with pytest.raises(httpx.ReadError):
                await attempt
        assert_untouched(world)
        assert world.books.requests.total() == 3
        assert not world.books.answers

        world.down = False
        assert (await api.get("/v1/balance")).status_code == 200


class TestControl:
    async def test_the_world_at_a_glance(
        self, api: httpx.AsyncClient, control: httpx.AsyncClient, world: SmsWorld, clock: Clock
    ) -> None:
        order_id = await ordered(api, world)
        clock.at += 12

        glance = (await control.get("/world")).json()

        price = cheapest(world).price
        assert glance["balance"] == 150_000 - price
        assert glance["down"] is False
        assert glance["requests_last_minute"] == 1
        (order,) = glance["live_orders"]
        assert (order["order_id"], order["age_seconds"], order["seconds_left"]) == (order_id, 12, 1_188)
        assert glance["stock"]["products"] == len(world.products())
        assert glance["stock"]["units"] == sum(product.available for product in world.products())
        assert glance["books"] == {
            "orders": 1,
            "messages": 0,
            "charged": price,
            "refunded": 0,
            "spent": price,
            "answers_429": 0,
        }

    async def test_the_books_in_full(
        self, api: httpx.AsyncClient, control: httpx.AsyncClient, world: SmsWorld, clock: Clock
    ) -> None:
        order_id = await ordered(api, world)
        world.faults.add(Fault(kind=FaultKind.HTML))
        await api.get("/v1/balance")
        world.arrive(order_id, "123456")
        world.set_balance(1)

        books = (await control.get("/books")).json()

        price = cheapest(world).price
        assert books["charges"] == [{"order_id": order_id, "amount": price, "at": clock.at}]
        assert books["adjustments"] == [{"amount": 1 - 150_000 + price, "at": clock.at}]
        assert books["messages"][0]["code"] == books["orders"][0]["otp_code"] == "123456"
        assert {"method": "POST", "route": "/v1/orders", "count": 1} in books["requests"]
        assert books["answers"] == [{"status": 200, "count": 1}, {"status": 502, "count": 1}]
        assert books["faults"][0]["fault"]["kind"] == "html"
        assert books["balance"] == 1

    async def test_sms_and_expiry(self, control: httpx.AsyncClient, world: SmsWorld) -> None:
        order_id = world.create_order(cheapest(world).id).id

        drawn = await control.post(f"/orders/{order_id}/sms")
        told = await control.post(f"/orders/{order_id}/sms", json={"code": "55", "text": "55!"})
        expired = await control.post(f"/orders/{order_id}/expire")

        assert re.fullmatch(r"\d{6}", drawn.json()["code"])
        assert (told.json()["code"], told.json()["text"], told.json()["revision"]) == ("55", "55!", 2)
        assert expired.json()["status"] == "EXPIRED"
        assert world.order(order_id).status == "EXPIRED"
        again = await control.post(f"/orders/{order_id}/sms")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "ORDER_ENDED")
        assert (await control.post("/orders/ord_missing/expire")).status_code == 404

    async def test_stock_balance_and_down(self, control: httpx.AsyncClient, world: SmsWorld) -> None:
        product = cheapest(world)

        await control.post(f"/products/{product.id}/stock", json={"available": 0})
        await control.post("/balance", json={"balance": 77})
        await control.post("/down", json={"down": True})

        assert (product.available, world.balance, world.down) == (0, 77, True)
        assert (await control.post("/products/1/stock", json={"available": 1})).status_code == 409

    async def test_faults(self, api: httpx.AsyncClient, control: httpx.AsyncClient, world: SmsWorld) -> None:
        wanted = {"route": "GET /v1/balance", "kind": "unavailable", "times": 1, "retry_after": 3}

        assert (await control.post("/faults", json=wanted)).json()["kind"] == "unavailable"

        assert (await api.get("/v1/balance")).headers["retry-after"] == "3"
        assert (await api.get("/v1/balance")).status_code == 200

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/faults", {"kind": "gremlins"}),
            ("/faults", {"kind": "html", "extra": 1}),
            ("/faults", {"kind": "html", "times": 0}),
            ("/faults", {}),
            ("/balance", {"balance": -1}),
            ("/balance", {"balance": "1"}),
            ("/down", {"down": 1}),
        ],
    )
    async def test_what_does_not_fit_is_refused(
        self, control: httpx.AsyncClient, world: SmsWorld, path: str, body: dict[str, object]
    ) -> None:
        answer = await control.post(path, json=body)

        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION_ERROR")
        assert (world.faults.queued, world.balance, world.down) == ([], 150_000, False)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "rebound.example:8080"},
            {"Host": "127.0.0.1.example"},
            {"Host": "["},
            {"Host": ""},
            {"Origin": "https://evil.example"},
            {"Origin": "http://127.0.0.1.evil.example"},
            {"Origin": "null"},
        ],
    )
    async def test_other_places_are_refused(
        self, control: httpx.AsyncClient, world: SmsWorld, headers: dict[str, str]
    ) -> None:
        answer = await control.post("/down", json={"down": True}, headers=headers)

        assert answer.status_code == 403
        assert world.down is False

    @pytest.mark.parametrize(
        "headers",
        [{"Origin": "http://localhost:3000"}, {"Host": "localhost:1"}, {"Host": "[::1]:1"}, {}],
    )
    async def test_this_machine_is_let_in(
        self, control: httpx.AsyncClient, world: SmsWorld, headers: dict[str, str]
    ) -> None:
        await control.post("/down", json={"down": True}, headers=headers)

        assert world.down is True
