"""The official contract of the simulated SMSCode: the vendor's own SDK on it, and every row that it shows."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from smscode import AsyncSmscodeClient
from smscode.webhook import parse_webhook_event, verify_webhook_signature

from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import (
    COUNTRIES,
    PLATFORMS,
    Fault,
    FaultKind,
    OrderStatus,
    SmsWorld,
    WebhookSender,
    sms_app,
    sms_control_app,
)
from tests.sandbox.clients import http_client
from tests.sandbox.official import CAPABILITIES, TIMEOUT, TOKEN, Account, Clock, open_account
from tests.sandbox.receiver import Receiver

READ_KEYS = CAPABILITIES | {
    "id",
    "status",
    "created_at",
    "product_id",
    "catalog_product_id",
    "operator_id",
    "operator_name",
    "phone_number",
    "amount",
    "otp_code",
    "otp_message",
    "sms_revision",
    "otp_received_at",
    "expires_at",
    "canceled_at",
    "failed_reason",
}
ACTIVE_KEYS = READ_KEYS - {
    "created_at",
    "product_id",
    "catalog_product_id",
    "phone_number",
    "amount",
    "canceled_at",
}
CREATED_KEYS = READ_KEYS - {"created_at", "otp_message", "sms_revision", "canceled_at"}


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


def at(text: str) -> float:
    """Unix seconds of a moment as this contract writes it."""
    moment = datetime.fromisoformat(text)
    assert text.endswith("+00:00")
    assert moment.tzinfo == UTC
    return moment.timestamp()


async def test_the_vendors_sdk_walks_through_everything() -> None:
    """Its quick start and every other call of its `v1`, with the real clock and numbers that answer by themselves."""
    world = SmsWorld(token=TOKEN, arrival=(0.05, 0.05))
    async with (
        WebhookSender(world, retries=(0.05,)) as webhooks,
        LoopbackServer(sms_app(world, "official", webhooks)) as server,
        Receiver() as receiver,
        http_client(timeout=TIMEOUT) as client,
        AsyncSmscodeClient(token=TOKEN, base_url=server.url, client=client) as sdk,
    ):
        v1 = sdk.v1
        config = await v1.webhook.update(webhook_url=receiver.url)
        assert config.webhook_secret is not None
        assert (await v1.webhook.test()).status_code == 204

        balance = (await v1.balance.get()).balance
        country = next(row for row in await v1.catalog.countries() if row.code == "id")
        service = next(row for row in await v1.catalog.services(country_id=country.id) if row.code == "whatsapp")
        carriers = await v1.catalog.operators(country_id=country.id, platform_id=service.id)
        operator = next(row for row in carriers if row.code == "indosat")
        assert (await v1.catalog.exchange_rate(pair="USD/IDR")).rate
        page = await v1.catalog.products(
            country_id=country.id, platform_id=service.id, operator_id=operator.operator_id
        )
        (product,) = page.products

        created = await v1.orders.create(
            catalog_product_id=product.catalog_product_id, operator_id=operator.operator_id, max_price=product.price
        )
        order = created.orders[0]
        assert (order["operator_name"], order.amount, created.failed_count) == ("Indosat", product.price, 0)
        first = await v1.orders.wait_for_otp(order["id"], timeout_ms=8_000, poll_interval_ms=20)
        assert (await v1.orders.active())[0]["otp_code"] == first.otp_code
        assert (await v1.orders.resend(order["id"])).resent
        second = await v1.orders.wait_for_otp(
            order["id"], after_revision=first.order["sms_revision"], timeout_ms=8_000, poll_interval_ms=20
        )
        assert second.otp_code != first.otp_code
        assert (await v1.orders.finish(order["id"])).status == "COMPLETED"

        assert (await v1.orders.get(order["id"])).capabilities.can_reactivate
        cost = (await v1.orders.reactivate_options(order["id"])).cost
        again = (await v1.orders.reactivate(order["id"], max_price=int(str(cost)))).orders[0]
        assert again["phone_number"] == order["phone_number"]
        await v1.orders.wait_for_otp(again["id"], timeout_ms=8_000, poll_interval_ms=20)
        await v1.orders.finish(again["id"])

        world.arrival = None
        wasted = (await v1.orders.create(product_id=product.id)).orders[0]
        cancelled = await v1.orders.cancel(wasted["id"])
        assert (cancelled.status, cancelled.refund_amount) == ("CANCELED", product.price)
        assert cancelled.new_balance == balance - 2 * int(str(product.price)) == world.balance
        assert [row["id"] for row in await v1.orders.list(limit=2)] == [wasted["id"], again["id"]]

        await receiver.until(7)
    assert all(verify_webhook_signature(one.body, one.signature, config.webhook_secret) for one in receiver.got)
    events = [parse_webhook_event(one.body) for one in receiver.got]
    # They are sent side by side, so the order in which they come means nothing.
    assert Counter((event["event"], event["data"].get("order_id")) for event in events) == Counter(
        [
            ("webhook.test", None),
            ("order.otp_received", order["id"]),
            ("order.otp_received", order["id"]),
            ("order.completed", order["id"]),
            ("order.otp_received", again["id"]),
            ("order.completed", again["id"]),
            ("order.canceled", wasted["id"]),
        ]
    )


class TestCatalog:
    async def test_countries_are_all_there(self, account: Account) -> None:
        rows = await account.get("/v1/catalog/countries")
        assert rows[0] == {
            "id": account.world.names.countries.of("indonesia"),
            "code": "id",
            "name": "Indonesia",
            "dial_code": "62",
            "emoji": "🇮🇩",
            "active": True,
        }
        assert [row["name"] for row in rows] == [country.title for country in COUNTRIES]

    async def test_services_can_be_those_of_a_country(self, account: Account) -> None:
        everything = await account.get("/v1/catalog/services")
        assert everything[0]["code"] == "whatsapp"
        assert set(everything[0]) == {"id", "code", "name", "active"}
        assert len(everything) == len(PLATFORMS)
        germany = account.world.names.countries.of("germany")
        codes = {row["code"] for row in await account.get("/v1/catalog/services", country_id=germany)}
        assert codes == {platform.slug for platform in PLATFORMS if platform.countries is None}
        assert await account.get("/v1/catalog/services", country_id=999_999) == []

    async def test_numbers_of_different_things_are_never_the_same(self, account: Account) -> None:
        products = await account.get("/v1/catalog/products")
        countries, services = await account.get("/v1/catalog/countries"), await account.get("/v1/catalog/services")
        groups = [{row[name] for row in products} - {None} for name in ("id", "catalog_product_id", "operator_id")]
        groups += [{row["id"] for row in rows} for rows in (countries, services)]
        assert not any(first & second for first, second in itertools.combinations(groups, 2))

    async def test_what_a_script_puts_on_sale_gets_numbers(self, account: Account) -> None:
        account.world.set_product("atlantis", "poseidon", 900, 3)
        invented = (await account.get("/v1/catalog/countries"))[-1]
        assert (invented["name"], invented["code"], invented["dial_code"], invented["emoji"]) == (
            "Atlantis",
            None,
            None,
            None,
        )
        (service,) = await account.get("/v1/catalog/services", country_id=invented["id"])
        (product,) = await account.get("/v1/catalog/products", platform_id=service["id"])
        assert (product["price"], product["country_id"], product["operator_id"]) == (900, invented["id"], None)

    async def test_only_operators_in_stock_are_named(self, account: Account) -> None:
        where = {
            "country_id": account.world.names.countries.of("indonesia"),
            "platform_id": account.world.names.platforms.of("telegram"),
        }
        for product in account.world.products("indonesia", "telegram"):
            product.available = 1
        first, *others = await account.get("/v1/catalog/operators", **where)
        assert first == {"operator_id": None, "code": "any", "name": "Any", "local_name": None}
        assert [row["code"] for row in others] == ["indosat", "telkomsel", "xl-axiata"]
        for product in account.world.products("indonesia", "telegram"):
            product.available = int(product.operator == "Indosat")
        assert [row["code"] for row in await account.get("/v1/catalog/operators", **where)] == ["indosat"]
        where["country_id"] = account.world.names.countries.of("germany")
        assert await account.get("/v1/catalog/operators", **where) == []

    async def test_a_product_is_shown_whole(self, account: Account) -> None:
        product = account.cheapest()
        rows = {row["id"]: row for row in await account.get("/v1/catalog/products")}
        assert rows[product.id] == {
            "id": product.id,
            "name": product.name,
            "country_id": account.world.names.countries.of("indonesia"),
            "platform_id": account.world.names.platforms.of("whatsapp"),
            "available": product.available,
            "price": product.price,
            "active": True,
            "catalog_product_id": account.kind(),
            "operator_id": account.world.names.operators.of("Telkomsel"),
            "operator_name": "Telkomsel",
        }
        assert all(row["available"] for row in rows.values())
        unlinked = {row["platform_id"] for row in rows.values() if row["catalog_product_id"] is None}
        assert unlinked == {account.world.names.platforms.of("gojek")}

    async def test_products_are_narrowed_by_all_three(self, account: Account) -> None:
        names = account.world.names
        asked = {"country_id": names.countries.of("indonesia"), "operator_id": names.operators.of("Indosat")}
        rows = await account.get("/v1/catalog/products", **asked)
        assert rows
        assert {(row["country_id"], row["operator_name"]) for row in rows} == {(asked["country_id"], "Indosat")}
        asked["platform_id"] = names.platforms.of("whatsapp")
        assert len(await account.get("/v1/catalog/products", **asked)) == 1

    @pytest.mark.parametrize("name", ["country_id", "platform_id", "operator_id"])
    async def test_an_unknown_number_fits_nothing(self, account: Account, name: str) -> None:
        assert await account.get("/v1/catalog/products", **{name: 999_999}) == []

    @pytest.mark.parametrize(
        ("sort", "key", "backwards"),
        [
            ("price_asc", "price", False),
            ("price_desc", "price", True),
            ("available_asc", "available", False),
            ("available_desc", "available", True),
            ("name_asc", "name", False),
            ("name_desc", "name", True),
            ("backwards", "price", False),
            (None, "price", False),
        ],
    )
    async def test_sorting(self, account: Account, sort: str | None, key: str, backwards: bool) -> None:
        query = {} if sort is None else {"sort": sort}
        shown = [row[key] for row in await account.get("/v1/catalog/products", **query)]
        assert shown == sorted(shown, reverse=backwards)
        assert len(set(shown)) > 1

    async def test_pages_tile_the_catalog(self, account: Account) -> None:
        everything = await account.get("/v1/catalog/products")
        seen = []
        for page in itertools.count(1):
            answer = (await account.api.get("/v1/catalog/products", params={"limit": 40, "page": page})).json()
            assert answer["meta"] == {"page": page, "limit": 40, "count": len(answer["data"])}
            seen += answer["data"]
            if len(answer["data"]) < 40:
                break
        assert seen == everything
        assert len(everything) > 80

    @pytest.mark.parametrize(("asked", "applied"), [("0", 1), ("-5", 1), ("99999", 10_000)])
    async def test_a_page_out_of_range_is_clamped(self, account: Account, asked: str, applied: int) -> None:
        answer = (await account.api.get("/v1/catalog/products", params={"limit": asked, "page": "-1"})).json()
        assert (answer["meta"]["limit"], answer["meta"]["page"]) == (applied, 1)

    async def test_the_rate_of_the_only_pair(self, account: Account) -> None:
        rate = await account.get("/v1/catalog/exchange-rate")
        assert rate == await account.get("/v1/catalog/exchange-rate", pair="USD/IDR")
        assert set(rate) == {"pair", "base_currency", "quote_currency", "rate"}
        assert isinstance(rate["rate"], int)


class TestChoosing:
    """A routed order takes one of the products that share an id."""

    @pytest.fixture
    def tiers(self, account: Account) -> dict[str, int]:
        """Three products of one kind, by their operators, and the id that they share."""
        put = account.world.set_product
        account.world.clear_catalog()
        found = {
            "Alpha": put("oz", "emerald", 300, 5, operator="Alpha"),
            "Beta": put("oz", "emerald", 200, 5, operator="Beta"),
            "any": put("oz", "emerald", 400, 5),
            "alone": put("oz", "emerald", 100, 5, linked=False),
        }
        return found | {"kind": account.kind("oz", "emerald")}

    @pytest.mark.parametrize(
        ("asked", "chosen"),
        [
            ({}, "Beta"),
            ({"policy": "cheapest"}, "Beta"),
            ({"policy": "best_success"}, "any"),
            ({"policy": "best_success", "max_price": 399}, "Alpha"),
            ({"min_price": 201}, "Alpha"),
            ({"max_price": 200}, "Beta"),
            ({"min_price": 301, "max_price": 400, "prefer_provider": "whoever"}, "any"),
            ({"max_price": None, "operator_id": None}, "Beta"),
        ],
    )
    async def test_by_price_and_policy(
        self, account: Account, tiers: dict[str, int], asked: dict[str, Any], chosen: str
    ) -> None:
        answer = await account.create(catalog_product_id=tiers["kind"], **asked)
        (order,) = answer.json()["data"]["orders"]
        product = account.world.product(tiers[chosen])
        assert (order["product_id"], order["amount"]) == (product.id, product.price)
        assert product.available == 4
        assert account.world.books.charged == product.price

    async def test_by_operator(self, account: Account, tiers: dict[str, int]) -> None:
        alpha = account.world.names.operators.of("Alpha")
        answer = await account.create(catalog_product_id=tiers["kind"], operator_id=alpha)
        (order,) = answer.json()["data"]["orders"]
        assert (order["product_id"], order["operator_id"], order["operator_name"]) == (tiers["Alpha"], alpha, "Alpha")

    async def test_one_without_a_common_id_is_ordered_by_its_own(self, account: Account, tiers: dict[str, int]) -> None:
        (order,) = (await account.create(product_id=tiers["alone"])).json()["data"]["orders"]
        assert (order["amount"], order["catalog_product_id"]) == (100, None)

    async def test_several_at_once_take_what_there_is(self, account: Account, tiers: dict[str, int]) -> None:
        account.world.set_stock(tiers["Beta"], 2)
        answer = (await account.create(catalog_product_id=tiers["kind"], quantity=4, max_price=200)).json()["data"]
        assert [order["amount"] for order in answer["orders"]] == [200, 200]
        assert answer["failed_count"] == 2
        assert len({order["id"] for order in answer["orders"]}) == len(account.world.books.charges) == 2


class TestOrders:
    async def test_a_new_one_is_shown_and_charged(self, account: Account) -> None:
        answer = (await account.create()).json()["data"]
        (row,) = answer["orders"]
        order = account.world.order_by_number(row["id"])
        assert set(answer) == {"orders", "failed_count"}
        assert set(row) == CREATED_KEYS
        assert (row["id"], order.number) == (100_001, 100_001)
        assert (row["phone_number"], row["amount"], row["status"]) == (order.phone_number, order.price, "ACTIVE")
        assert (at(row["expires_at"]), row["otp_code"]) == (order.expires_at, None)
        assert account.world.balance == 150_000 - order.price

    async def test_numbers_go_up_one_by_one(self, account: Account) -> None:
        orders = [await account.order() for _ in range(3)]
        assert [order.number for order in orders] == [100_001, 100_002, 100_003]
        assert [account.world.named(str(order.number)) for order in orders] == orders
        assert [account.world.named(order.id) for order in orders] == orders

    async def test_a_number_may_come_later(self, account: Account) -> None:
        account.world.numbers_late = True
        (row,) = (await account.create()).json()["data"]["orders"]
        assert row["phone_number"] is None
        order = account.world.order_by_number(row["id"])
        assert (await account.read(order))["phone_number"] == order.phone_number

    async def test_the_live_list_has_neither_number_nor_charge(self, account: Account) -> None:
        order = await account.order()
        (row,) = await account.active()
        assert set(row) == ACTIVE_KEYS
        assert (row["id"], row["status"], row["sms_revision"], row["otp_message"]) == (order.number, "ACTIVE", 0, None)

    async def test_the_live_list_shows_the_newest_first_and_none_that_is_over(self, account: Account) -> None:
        orders = [await account.order() for _ in range(6)]
        account.world.arrive(orders[1].id)
        account.world.arrive(orders[2].id)
        account.world.complete(orders[2].id)
        account.world.expire(orders[3].id)
        account.world.give_back(orders[4])
        account.world.set_status(orders[5].id, "ON_HOLD")
        rows = await account.active()
        assert [(row["id"], row["status"]) for row in rows] == [
            (orders[1].number, "OTP_RECEIVED"),
            (orders[0].number, "ACTIVE"),
        ]

    async def test_one_is_read_whole(self, account: Account) -> None:
        order = await account.order()
        account.clock.at += 30
        account.world.arrive(order.id, "012345", "Your code is 012345")
        row = await account.read(order)
        assert set(row) == READ_KEYS
        assert (at(row["created_at"]), at(row["otp_received_at"])) == (order.created_at, account.clock.at)
        assert (row["amount"], row["phone_number"]) == (order.price, order.phone_number)
        assert (row["otp_code"], row["otp_message"], row["sms_revision"]) == ("012345", "Your code is 012345", 1)
        assert (row["canceled_at"], row["failed_reason"]) == (None, None)

    async def test_every_sms_counts_even_with_the_same_digits(self, account: Account) -> None:
        order = await account.order()
        for revision in (1, 2, 3):
            account.world.arrive(order.id, "4711")
            (row,) = await account.active()
            assert (row["otp_code"], row["sms_revision"]) == ("4711", revision)

    async def test_a_text_alone_has_no_code(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id, text="Tap to log in")
        (row,) = await account.active()
        assert (row["otp_code"], row["otp_message"], row["sms_revision"]) == (None, "Tap to log in", 1)
        assert (row["status"], row["can_cancel"], row["can_finish"]) == ("OTP_RECEIVED", False, True)

    async def test_a_later_text_leaves_the_code_where_it_is(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id, "4711", "4711 it is")
        account.world.arrive(order.id, text="Welcome!")
        row = await account.read(order)
        assert (row["otp_code"], row["otp_message"], row["sms_revision"]) == ("4711", "Welcome!", 2)

    async def test_codes_count_as_shown_once_they_were_read(self, account: Account) -> None:
        first, second = await account.order(), await account.order()
        account.world.arrive(first.id, "1111")
        account.world.arrive(second.id, "2222")
        assert account.world.books.shown_codes() == []
        await account.read(first)
        assert [sms.code for sms in account.world.books.shown_codes()] == ["1111"]
        account.clock.at += 5
        await account.active()
        assert [(sms.code, sms.shown_at) for sms in account.world.books.shown_codes()] == [
            ("1111", account.clock.at - 5),
            ("2222", account.clock.at),
        ]

    @pytest.mark.parametrize("status", ["ON_HOLD", "waiting", "<b>"])
    async def test_an_unknown_status_is_shown_as_itself(self, account: Account, status: str) -> None:
        order = await account.order()
        account.world.set_status(order.id, status)
        row = await account.read(order)
        assert row["status"] == status
        assert not any(row[name] for name in CAPABILITIES)

    async def test_one_that_expires_without_an_sms_has_expired(self, account: Account) -> None:
        order = await account.order()
        account.clock.at = order.expires_at
        row = await account.read(order)
        assert (row["status"], row["canceled_at"], row["can_reactivate"]) == ("EXPIRED", None, False)
        assert account.world.balance == 150_000

    async def test_one_whose_window_closes_after_an_sms_is_complete(self, account: Account) -> None:
        account.world.complete_after = None
        order = await account.order()
        account.world.arrive(order.id)
        account.clock.at = order.expires_at
        row = await account.read(order)
        assert (row["status"], row["can_reactivate"]) == ("COMPLETED", True)
        assert account.world.books.refunds == []

    async def test_all_orders_are_listed_newest_first_in_stretches(self, account: Account) -> None:
        account.world.set_balance(10_000_000)
        orders = [await account.order() for _ in range(25)]
        numbers = [order.number for order in reversed(orders)]
        answer = (await account.api.get("/v1/orders")).json()
        assert [row["id"] for row in answer["data"]] == numbers[:20]
        assert answer["meta"] == {"limit": 20, "offset": 0, "count": 20}
        assert set(answer["data"][0]) == READ_KEYS
        rows = await account.get("/v1/orders", limit=10, offset=20)
        assert [row["id"] for row in rows] == numbers[20:]
        assert await account.get("/v1/orders", offset=25) == []
        assert len(await account.get("/v1/orders", limit=0, offset=-3)) == 1
        assert (await account.api.get("/v1/orders", params={"limit": 101})).json()["meta"]["limit"] == 100

    @pytest.mark.parametrize("word", ["EXPIRED", "expired"])
    async def test_the_list_can_be_narrowed_to_a_status(self, account: Account, word: str) -> None:
        expired, _waiting = await account.order(), await account.order()
        account.world.expire(expired.id)
        assert [row["id"] for row in await account.get("/v1/orders", status=word)] == [expired.number]


class TestWhatMayBeDone:
    """The flags say what the routes then do."""

    async def test_before_the_first_sms(self, account: Account) -> None:
        row = await account.read(await account.order())
        assert {name for name in CAPABILITIES if row[name]} == {"can_cancel", "can_replace"}

    async def test_after_it(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id)
        row = await account.read(order)
        assert {name for name in CAPABILITIES if row[name]} == {"can_finish", "can_resend"}

    async def test_at_the_end(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id)
        assert (await account.post("finish", order)).json()["data"] == {
            "order_id": order.number,
            "status": "COMPLETED",
        }
        row = await account.read(order)
        assert {name for name in CAPABILITIES if row[name]} == {"can_reactivate"}

    async def test_a_cancel_tells_what_came_back(self, account: Account) -> None:
        kept, order = await account.order(), await account.order()
        account.clock.at += 7
        answer = await account.post("cancel", order)
        assert answer.json()["data"] == {
            "order_id": order.number,
            "status": "CANCELED",
            "refund_amount": order.price,
            "new_balance": 150_000 - kept.price,
        }
        row = await account.read(order)
        assert (row["status"], at(row["canceled_at"])) == ("CANCELED", account.clock.at)
        assert "refund_amount" not in row
        assert account.world.books.refunds_of(order.id)[0].amount == order.price

    async def test_a_resend_waits_for_one_more(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id, "4711")
        answer = await account.post("resend", order)
        assert answer.json()["data"] == {"order_id": order.number, "status": "ACTIVE", "resent": True}
        row = await account.read(order)
        assert (row["status"], row["otp_code"], row["sms_revision"]) == ("ACTIVE", "4711", 1)
        assert (row["can_cancel"], row["can_finish"], row["can_resend"]) == (False, True, True)
        account.world.arrive(order.id, "4711")
        row = await account.read(order)
        assert (row["status"], row["otp_code"], row["sms_revision"]) == ("OTP_RECEIVED", "4711", 2)

    async def test_a_resend_waits_past_the_time_it_would_have_been_complete(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id)
        await account.post("resend", order)
        account.clock.at = order.expires_at - 1
        assert (await account.read(order))["status"] == "ACTIVE"
        assert (await account.post("finish", order)).status_code == 200

    async def test_a_resend_is_answered_by_itself_where_sms_arrive_by_themselves(self) -> None:
        async with open_account(arrival=(5, 5)) as account:
            order = await account.order()
            account.clock.at += 5
            await account.active()
            await account.post("resend", order)
            account.clock.at += 5
            (row,) = await account.active()
            assert (row["status"], row["sms_revision"]) == ("OTP_RECEIVED", 2)

    async def test_a_reactivation_is_a_new_order_on_the_same_number(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id)
        await account.post("finish", order)
        account.world.product(order.product_id).price += 500
        cost = await account.get(f"/v1/orders/{order.number}/reactivate-options")
        assert cost == {"cost": order.price + 500}
        answer = (await account.post("reactivate", order, max_price=order.price + 500)).json()["data"]
        (row,) = answer["orders"]
        assert set(row) == CREATED_KEYS
        assert (row["phone_number"], row["amount"]) == (order.phone_number, order.price + 500)
        assert (row["status"], row["id"], answer["failed_count"]) == ("ACTIVE", order.number + 1, 0)
        assert account.world.order_by_number(row["id"]).reactivates == order.id
        assert not (await account.read(order))["can_reactivate"]
        account.world.arrive(str(row["id"]), "4711")
        assert (await account.read(order))["otp_code"] != "4711"

    async def test_a_number_that_is_off_sale_costs_what_it_cost(self, account: Account) -> None:
        order = await account.order()
        account.world.arrive(order.id)
        account.world.complete(order.id)
        account.world.clear_catalog()
        assert (await account.post("reactivate", order)).json()["data"]["orders"][0]["amount"] == order.price

    async def test_a_guide_order_and_an_official_one_are_orders_of_one_account(self, account: Account) -> None:
        theirs = account.world.create_order(account.cheapest().id)
        ours = await account.order()
        assert [row["id"] for row in await account.active()] == [ours.number, theirs.number]
        assert account.world.order(theirs.id).status == OrderStatus.WAITING


class TestControl:
    """The strings that only this contract has, pulled from another process."""

    @pytest.mark.parametrize(
        ("path", "body", "told"),
        [
            ("numbers", {"late": True}, {"late": True}),
            ("provider", {"times": 2}, {"times": 2}),
            ("guard", {"seconds": 60}, {"until": 1_800_000_060.0}),
            (
                "deliveries",
                {"late": 0.5, "swapped": True},
                {"late": 0.5, "times": 1, "lost": False, "forged": False, "swapped": True},
            ),
        ],
    )
    async def test_strings(self, path: str, body: dict[str, object], told: dict[str, object]) -> None:
        world = SmsWorld(now=Clock())
        async with LoopbackServer(sms_control_app(world)) as server, http_client(server.url) as control:
            answer = await control.post(f"/{path}", json=body)
            assert (answer.status_code, answer.json()) == (200, told)
            for nonsense in ({**body, "more": 1}, dict.fromkeys(body, "?"), dict.fromkeys(body, -1)):
                assert (await control.post(f"/{path}", json=nonsense)).status_code == 422
        assert (world.numbers_late, world.provider_errors, world.guard.until > 0, world.mischief.swapped) == (
            path == "numbers",
            2 * (path == "provider"),
            path == "guard",
            path == "deliveries",
        )

    async def test_orders_go_by_either_id(self, account: Account) -> None:
        order, other = await account.order(), await account.order()
        async with LoopbackServer(sms_control_app(account.world)) as server, http_client(server.url) as control:
            assert (await control.post(f"/orders/{order.number}/sms", json={"code": "4711"})).json()["code"] == "4711"
            shown = (await control.post(f"/orders/{other.number}/expire")).json()
            world = (await control.get("/world")).json()
        assert (shown["order_id"], shown["number"], shown["status"]) == (other.id, other.number, "EXPIRED")
        assert (shown["operator"], shown["reactivates"]) == (other.operator, None)
        assert world["guarded_seconds"] == 0
        assert world["webhook"] == {"delivers": False, "failures": 0}


class TestFaultsSpeakTheContract:
    @pytest.mark.parametrize(
        ("kind", "status", "code"),
        [
            (FaultKind.ERROR_BEFORE, 500, "INTERNAL_ERROR"),
            (FaultKind.ERROR_AFTER, 500, "INTERNAL_ERROR"),
            (FaultKind.RATE_LIMITED, 429, "RATE_LIMIT_EXCEEDED"),
            (FaultKind.UNAVAILABLE, 503, "SERVICE_UNAVAILABLE"),
        ],
    )
    async def test_in_its_own_words(self, account: Account, kind: FaultKind, status: int, code: str) -> None:
        account.world.faults.add(Fault(kind=kind, retry_after=7, route="GET /v1/orders/{id}"))
        order = await account.order()
        answer = await account.api.get(f"/v1/orders/{order.number}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert answer.headers["retry-after"] == "7"

    async def test_a_slow_answer_keeps_no_other_waiting(self, account: Account) -> None:
        account.world.faults.add(Fault(kind=FaultKind.SLOW, seconds=30, route="GET /v1/balance"))
        slow = asyncio.create_task(account.api.get("/v1/balance"))
        while not account.world.faults.log:
            await asyncio.sleep(0.001)
        assert (await account.api.get("/v1/orders/active")).status_code == 200
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
