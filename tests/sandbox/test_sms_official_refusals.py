"""What the official contract refuses, and that a refusal changes nothing."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from smscode.errors import CancelTooEarlyError, ConflictError, TempBannedError

from bot.sandbox.sms_api import Order, SmsWorld
from tests.sandbox.clients import http_client
from tests.sandbox.official import TOKEN, Account, assert_refused, open_account

GETS = [
    "/v1/balance",
    "/v1/catalog/countries",
    "/v1/catalog/services",
    "/v1/catalog/operators",
    "/v1/catalog/products",
    "/v1/catalog/exchange-rate",
    "/v1/orders",
    "/v1/orders/active",
    "/v1/orders/100001",
    "/v1/orders/100001/reactivate-options",
    "/v1/webhook",
]
ACTIONS = ["create", "cancel", "finish", "resend", "reactivate"]
ROUTES = [
    *(("GET", path) for path in GETS),
    *(("POST", f"/v1/orders/{action}") for action in ACTIONS),
    ("PATCH", "/v1/webhook"),
    ("POST", "/v1/webhook/test"),
]


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


def assert_untouched(world: SmsWorld) -> None:
    assert not world.books.orders
    assert not world.books.charges
    assert world.balance == world.books.opening


class TestEveryRoute:
    async def test_a_wrong_token(self, account: Account) -> None:
        for method, path in ROUTES:
            for token in ("wrong", TOKEN.upper()):
                answer = await account.api.request(method, path, headers={"Authorization": f"Bearer {token}"})
                assert_refused(answer, 401, "UNAUTHORIZED")

    async def test_a_query_that_nobody_knows(self, account: Account) -> None:
        for method, path in ROUTES:
            answer = await account.api.request(method, path, params={"country": "indonesia"})
            assert_refused(answer, 422, "VALIDATION_ERROR")

    async def test_more_than_an_account_may_ask(self, account: Account) -> None:
        account.world.requests_per_minute = 0
        for method, path in ROUTES:
            answer = await account.api.request(method, path)
            assert_refused(answer, 429, "RATE_LIMIT_EXCEEDED")
            assert int(answer.headers["retry-after"]) >= 1

    async def test_a_body_where_none_belongs(self, account: Account) -> None:
        await account.order()
        for path in GETS:
            answer = await account.api.request("GET", path, json={})
            assert_refused(answer, 422, "VALIDATION_ERROR")
            assert "body" in answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/v1/nothing", 404, "NOT_FOUND"),
            ("GET", "/v1/orders/", 404, "NOT_FOUND"),
            ("POST", "/v1/orders", 405, "METHOD_NOT_ALLOWED"),
            ("GET", "/v2/balance", 404, "NOT_FOUND"),
            ("POST", "/v1/orders/100001/cancel", 404, "NOT_FOUND"),
            ("DELETE", "/v1/webhook", 405, "METHOD_NOT_ALLOWED"),
        ],
    )
    async def test_no_such_route(self, account: Account, method: str, path: str, status: int, code: str) -> None:
        assert_refused(await account.api.request(method, path), status, code)

    async def test_too_large_a_body_has_no_envelope(self, account: Account) -> None:
        answer = await account.create(product_id=1, prefer_provider="x" * 70_000)
        assert answer.status_code == 413
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["x-request-id"].startswith("req_")
        with pytest.raises(ValueError, match="Expecting value"):
            answer.json()
        assert_untouched(account.world)


class TestQueries:
    @pytest.mark.parametrize("query", [{}, {"country_id": "7"}, {"platform_id": "101"}])
    async def test_operators_need_both(self, account: Account, query: dict[str, str]) -> None:
        assert_refused(await account.api.get("/v1/catalog/operators", params=query), 422, "VALIDATION_ERROR")

    @pytest.mark.parametrize("name", ["country_id", "platform_id", "operator_id", "limit", "page"])
    async def test_numbers_must_be_numbers(self, account: Account, name: str) -> None:
        for value in ("", "indonesia", "1.5", "٣", "9" * 30):
            answer = await account.api.get("/v1/catalog/products", params={name: value})
            assert_refused(answer, 422, "VALIDATION_ERROR")

    async def test_lists(self, account: Account) -> None:
        for query in ({"limit": "x"}, {"offset": ""}, {"status": "WAITING"}, {"status": ""}):
            assert_refused(await account.api.get("/v1/orders", params=query), 422, "VALIDATION_ERROR")

    async def test_a_pair_that_has_no_rate(self, account: Account) -> None:
        answer = await account.api.get("/v1/catalog/exchange-rate", params={"pair": "EUR/IDR"})
        assert_refused(answer, 404, "NOT_FOUND")

    async def test_no_such_order(self, account: Account) -> None:
        await account.order()
        for number in ("100002", "0", "-1", "x", "ord_abc123def456", "9" * 40, "%E2%85%A7"):
            assert_refused(await account.api.get(f"/v1/orders/{number}"), 404, "NOT_FOUND")
            assert_refused(await account.api.get(f"/v1/orders/{number}/reactivate-options"), 404, "NOT_FOUND")

    @pytest.mark.parametrize("action", ["cancel", "finish", "resend", "reactivate"])
    async def test_an_order_is_named_by_its_number_alone(self, account: Account, action: str) -> None:
        async def send(body: Any) -> httpx.Response:
            return await account.api.post(f"/v1/orders/{action}", json=body, headers={"idempotency-key": "k"})

        assert_refused(await send({"id": 100_001}), 404, "NOT_FOUND")
        bodies: list[Any] = [{}, {"id": "100001"}, {"id": 1.0}, {"id": True}, {"id": 1, "more": 1}, [], None]
        for body in bodies:
            assert_refused(await send(body), 422, "VALIDATION_ERROR")


class TestCreate:
    async def test_a_body_that_does_not_fit(self, account: Account) -> None:
        bodies: list[dict[str, Any]] = [
            {"quantity": 1},
            {"product_id": None, "catalog_product_id": None},
            {"product_id": 1, "catalog_product_id": 2},
            {"product_id": "1"},
            {"product_id": 0},
            {"product_id": 1, "max_price": 5},
            {"product_id": 1, "min_price": 5},
            {"product_id": 1, "policy": "cheapest"},
            {"product_id": 1, "operator_id": 5},
            {"product_id": 1, "prefer_provider": "x"},
            {"catalog_product_id": 1, "policy": "dearest"},
            {"catalog_product_id": 1, "policy": None},
            {"catalog_product_id": 1, "max_price": "0.50"},
            {"catalog_product_id": 1, "max_price": 4200.5},
            {"catalog_product_id": 1, "max_price": -1},
            {"catalog_product_id": 1, "operator_id": "telkomsel"},
            {"catalog_product_id": 1, "quantity": 0},
            {"catalog_product_id": 1, "quantity": 101},
            {"catalog_product_id": 1, "country": "indonesia"},
        ]
        for body in bodies:
            assert_refused(await account.create(**body), 422, "VALIDATION_ERROR")
        assert_untouched(account.world)

    async def test_a_body_that_is_none(self, account: Account) -> None:
        headers = {"content-type": "application/json", "idempotency-key": "k"}
        for content in (b"", b"{", b"[1]", b"null", b'{"product_id": 1'):
            answer = await account.api.post("/v1/orders/create", content=content, headers=headers)
            assert_refused(answer, 422, "VALIDATION_ERROR")

    async def test_a_key_that_is_none(self, account: Account) -> None:
        body = {"catalog_product_id": account.kind()}
        for key in (b"", b"with space", b"x" * 129, "umlaut-ä".encode("latin-1"), b"semi;colon", b"a.b"):
            answer = await account.api.post("/v1/orders/create", json=body, headers={b"idempotency-key": key})
            assert_refused(answer, 422, "VALIDATION_ERROR")
        assert_untouched(account.world)

    async def test_no_key_or_two(self, account: Account) -> None:
        body = {"catalog_product_id": account.kind()}
        assert_refused(await account.api.post("/v1/orders/create", json=body), 422, "VALIDATION_ERROR")
        twice = [("idempotency-key", "one"), ("idempotency-key", "two")]
        answer = await account.api.post("/v1/orders/create", json=body, headers=twice)
        assert_refused(answer, 422, "VALIDATION_ERROR")
        assert_untouched(account.world)

    @pytest.mark.parametrize("key", ["a", "A-b_9", "x" * 128])
    async def test_a_key_at_its_limits(self, account: Account, key: str) -> None:
        assert (await account.create(key)).status_code == 200

    async def test_no_offer_fits(self, account: Account) -> None:
        product = account.cheapest()
        dearest = max(one.price for one in account.world.products("indonesia", "whatsapp"))
        operators = account.world.names.operators
        kind = account.kind()
        unlinked = account.cheapest("indonesia", "gojek")
        wishes: list[dict[str, Any]] = [
            {"catalog_product_id": kind, "max_price": product.price - 1},
            {"catalog_product_id": kind, "min_price": dearest + 1},
            {"catalog_product_id": kind, "operator_id": operators.of("Viettel")},
            {"catalog_product_id": kind, "operator_id": 999_999},
            {"catalog_product_id": product.id},
            {"catalog_product_id": unlinked.id},
            {"product_id": kind},
            {"product_id": 999_999},
        ]
        for asked in wishes:
            assert_refused(await account.create(**asked), 422, "NO_OFFER_AVAILABLE")
        assert_untouched(account.world)

    async def test_what_is_sold_out(self, account: Account) -> None:
        for product in account.world.products("indonesia", "whatsapp"):
            product.available = 0
            assert_refused(await account.create(product_id=product.id), 422, "NO_OFFER_AVAILABLE")
        assert_refused(await account.create(), 422, "NO_OFFER_AVAILABLE")
        assert_untouched(account.world)

    async def test_too_little_money(self, account: Account) -> None:
        account.world.set_balance(account.cheapest().price - 1)
        left = account.cheapest().available
        assert_refused(await account.create(), 409, "INSUFFICIENT_BALANCE")
        assert account.world.books.charges == []
        assert account.cheapest().available == left

    async def test_a_provider_that_fails(self, account: Account) -> None:
        account.world.provider_errors = 2
        left = account.cheapest().available
        for _ in range(2):
            assert_refused(await account.create(), 422, "PROVIDER_ERROR")
        assert_untouched(account.world)
        assert account.cheapest().available == left
        assert (await account.create()).status_code == 200


class TestActions:
    async def test_no_cancel_after_an_sms(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id, text="no code, but an SMS")
        assert_refused(await account.post("cancel", order), 409, "CONFLICT")
        await account.post("resend", order)
        assert_refused(await account.post("cancel", order), 409, "CONFLICT")
        assert account.world.books.refunds == []

    async def test_nothing_is_done_twice(self, account: Account) -> None:
        cancelled, finished, expired, unknown = [await account.order() for _ in range(4)]
        account.world.arrive(finished.id)
        await account.post("cancel", cancelled)
        await account.post("finish", finished)
        account.world.expire(expired.id)
        account.world.set_status(unknown.id, "ON_HOLD")
        for order in (cancelled, finished, expired, unknown):
            for action in ("cancel", "finish", "resend"):
                assert_refused(await account.post(action, order), 409, "CONFLICT")
        assert len(account.world.books.refunds) == 2

    @pytest.mark.parametrize("action", ["finish", "resend"])
    async def test_nothing_to_finish_before_an_sms(self, account: Account, action: str) -> None:
        order = await account.order()
        assert_refused(await account.post(action, order), 409, "CONFLICT")
        assert (await account.read(order))["status"] == "ACTIVE"

    async def test_only_what_is_complete_is_reactivated(self, account: Account) -> None:
        waiting, received, cancelled, expired = [await account.order() for _ in range(4)]
        account.world.arrive(received.id)
        await account.post("cancel", cancelled)
        account.world.expire(expired.id)
        for order in (waiting, received, cancelled, expired):
            assert_refused(await account.post("reactivate", order), 409, "CONFLICT")
            answer = await account.api.get(f"/v1/orders/{order.number}/reactivate-options")
            assert_refused(answer, 409, "CONFLICT")
        assert len(account.world.books.charges) == 4

    async def test_a_number_is_rented_once_at_a_time(self, account: Account) -> None:
        order = await completed(account)
        (row,) = (await account.post("reactivate", order)).json()["data"]["orders"]
        again = account.world.order_by_number(row["id"])
        assert_refused(await account.post("reactivate", order), 409, "CONFLICT")
        await account.post("cancel", again)
        assert (await account.post("reactivate", order)).status_code == 200

    async def test_a_number_that_does_not_last(self, account: Account) -> None:
        order = await completed(account)
        account.world.numbers_last = False
        assert not (await account.read(order))["can_reactivate"]
        assert_refused(await account.post("reactivate", order), 409, "CONFLICT")

    async def test_a_reactivation_that_costs_too_much(self, account: Account) -> None:
        order = await completed(account)
        answer = await account.post("reactivate", order, max_price=order.price - 1)
        assert_refused(answer, 422, "VALIDATION_ERROR")
        account.world.set_balance(order.price - 1)
        assert_refused(await account.post("reactivate", order), 409, "INSUFFICIENT_BALANCE")
        account.world.provider_errors = 1
        assert_refused(await account.post("reactivate", order), 422, "PROVIDER_ERROR")
        assert len(account.world.books.charges) == 1

    async def test_a_provider_that_fails_leaves_the_order_as_it_is(self, account: Account) -> None:
        order, received = await account.order(), await account.order()
        account.world.arrive(received.id)
        account.world.provider_errors = 2
        assert_refused(await account.post("cancel", order), 422, "PROVIDER_ERROR")
        assert_refused(await account.post("resend", received), 422, "PROVIDER_ERROR")
        assert [row["status"] for row in await account.active()] == ["OTP_RECEIVED", "ACTIVE"]
        assert (await account.post("cancel", order)).status_code == 200


class TestWindow:
    async def test_a_number_must_be_kept_for_a_while(self) -> None:
        async with open_account(cancel_window=120.5) as account:
            order = await account.order()
            row = await account.read(order)
            assert not row["can_cancel"]
            assert row["replace_available_at"] == row["cancel_available_at"]
            opens_at = datetime.fromisoformat(row["cancel_available_at"]).timestamp()
            # Never a moment too early: a second is the smallest unit that it can be told in.
            assert opens_at == order.created_at + 121
            details = assert_refused(await account.post("cancel", order), 409, "CANCEL_TOO_EARLY")
            assert details == {"cancel_available_at": row["cancel_available_at"]}
            with pytest.raises(CancelTooEarlyError):
                await account.sdk.v1.orders.cancel(order.number)
            account.clock.at = opens_at
            (row,) = await account.active()
            assert (row["can_cancel"], row["cancel_available_at"]) == (True, None)
            assert (await account.post("cancel", order)).status_code == 200

    async def test_an_sms_closes_it_for_good(self) -> None:
        async with open_account(cancel_window=120) as account:
            order = await account.order()
            account.world.arrive(order.id)
            row = await account.read(order)
            assert (row["can_cancel"], row["cancel_available_at"]) == (False, None)
            assert_refused(await account.post("cancel", order), 409, "CONFLICT")

    async def test_a_resend_has_to_cool_down(self) -> None:
        async with open_account(resend_cooldown=30) as account:
            order = await account.order()
            account.world.arrive(order.id)
            assert (await account.post("resend", order)).status_code == 200
            account.clock.at += 10
            row = await account.read(order)
            assert not row["can_resend"]
            assert datetime.fromisoformat(row["resend_available_at"]).timestamp() == account.clock.at + 20
            assert_refused(await account.post("resend", order), 409, "CONFLICT")
            account.clock.at += 20
            row = await account.read(order)
            assert (row["can_resend"], row["resend_available_at"]) == (True, None)
            assert (await account.post("resend", order)).status_code == 200


class TestCap:
    async def test_so_many_cancels_within_a_day(self) -> None:
        async with open_account(cancels_per_day=2) as account:
            orders = [await account.order() for _ in range(4)]
            for order in orders[:2]:
                assert (await account.post("cancel", order)).status_code == 200
                account.clock.at += 60
            answer = await account.post("cancel", orders[2])
            assert_refused(answer, 429, "RATE_LIMIT_EXCEEDED")
            wait = int(answer.headers["retry-after"])
            assert wait == 86_400 - 120
            assert len(account.world.books.refunds) == 2
            assert (await account.create()).status_code == 200
            account.world.expire(orders[2].id)
            account.clock.at += wait
            last = await account.order()
            assert (await account.post("cancel", last)).status_code == 200

    async def test_none_at_all(self) -> None:
        async with open_account(cancels_per_day=0) as account:
            answer = await account.post("cancel", await account.order())
            assert_refused(answer, 429, "RATE_LIMIT_EXCEEDED")
            assert int(answer.headers["retry-after"]) > 0

    async def test_a_refused_cancel_counts_for_nothing(self) -> None:
        async with open_account(cancels_per_day=1) as account:
            first, second = await account.order(), await account.order()
            account.world.arrive(first.id)
            account.world.provider_errors = 1
            assert_refused(await account.post("cancel", first), 409, "CONFLICT")
            assert_refused(await account.post("cancel", second), 422, "PROVIDER_ERROR")
            assert (await account.post("cancel", second)).status_code == 200


class TestGuard:
    async def test_too_many_orders_without_an_sms_stop_new_ones(self) -> None:
        async with open_account(failures_per_hour=3, abuse_guard_seconds=900) as account:
            done = await completed(account)
            cancelled, expired, last = [await account.order() for _ in range(3)]
            await account.post("cancel", cancelled)
            account.world.expire(expired.id)
            assert (await account.create()).status_code == 200
            await account.post("cancel", last)
            charges = len(account.world.books.charges)
            for answer in (await account.create(), await account.post("reactivate", done)):
                details = assert_refused(answer, 429, "TEMP_BANNED_ABUSE_GUARD")
                assert details["retry_after_seconds"] == int(answer.headers["retry-after"]) == 900
                assert datetime.fromisoformat(details["until"]).timestamp() == account.clock.at + 900
                assert details["tier"] == "HARD"
            with pytest.raises(TempBannedError):
                await account.sdk.v1.orders.create(catalog_product_id=account.kind())
            assert len(account.world.books.charges) == charges
            account.clock.at += 900
            assert (await account.create()).status_code == 200

    async def test_other_things_go_on(self, account: Account) -> None:
        order, received = await account.order(), await account.order()
        account.world.arrive(received.id)
        account.world.trip_abuse_guard(60)
        assert len(await account.active()) == 2
        assert (await account.post("resend", received)).status_code == 200
        assert (await account.post("finish", received)).status_code == 200
        assert (await account.post("cancel", order)).status_code == 200

    @pytest.mark.parametrize(("apart", "status"), [(3_599, 429), (3_600, 200)])
    async def test_failures_are_forgotten_after_an_hour(self, apart: float, status: int) -> None:
        async with open_account(failures_per_hour=2) as account:
            await account.post("cancel", await account.order())
            account.clock.at += apart
            await account.post("cancel", await account.order())
            assert (await account.create()).status_code == status

    async def test_after_a_ban_the_count_starts_anew(self) -> None:
        async with open_account(failures_per_hour=2, abuse_guard_seconds=60) as account:
            for status in (200, 429):
                await account.post("cancel", await account.order())
                assert (await account.create()).status_code == status
            account.clock.at += 60
            await account.post("cancel", await account.order())
            assert (await account.create()).status_code == 200

    async def test_an_order_with_an_sms_is_no_failure(self) -> None:
        async with open_account(failures_per_hour=1) as account:
            order = await account.order()
            account.world.arrive(order.id, text="no code")
            account.world.expire(order.id)
            assert (await account.create()).status_code == 200


async def test_the_sdk_knows_every_refusal_by_its_name(account: Account) -> None:
    order = await account.order()
    account.world.arrive(order.id)
    with pytest.raises(ConflictError) as caught:
        await account.sdk.v1.orders.cancel(order.number)
    assert (caught.value.code, caught.value.http_status) == ("CONFLICT", 409)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


async def test_a_guide_client_gets_nowhere(account: Account) -> None:
    """A desk that speaks the other contract must hear it at once instead of half succeeding."""
    async with http_client(str(account.api.base_url), headers={"Authorization": f"Bearer {TOKEN}"}) as guide:
        assert_refused(await guide.post("/v1/orders", json={"product_id": 1}), 405, "METHOD_NOT_ALLOWED")
        answer: httpx.Response = await guide.get("/v1/catalog/products", params={"country": "indonesia"})
        assert_refused(answer, 422, "VALIDATION_ERROR")
    assert_untouched(account.world)


async def completed(account: Account) -> Order:
    """An order that got its SMS and is over."""
    order = await account.order()
    account.world.arrive(order.id)
    assert (await account.post("finish", order)).status_code == 200
    return order
