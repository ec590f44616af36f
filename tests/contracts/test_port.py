"""What every adapter owes the desk, told through `SmsPort` alone and checked against the simulator's books."""

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import httpx
import pytest

from bot.domain.errors import (
    ApiError,
    BalanceTooLow,
    Conflict,
    NotSent,
    ProductGone,
    RateLimited,
    RemoteOrderMissing,
    SmsError,
    TokenRejected,
    Unclear,
)
from bot.domain.orders import Offer, RemoteStatus
from bot.sandbox.sms_api import COUNTRIES, PLATFORMS, Contract, Fault, FaultKind, OrderStatus
from bot.services.catalog import fold
from bot.sms.port import Priority, SmsPort, Terms
from tests.contracts.bench import BALANCE, QUICK, TOKEN, Bench, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

SomeCall = Callable[[Bench], Awaitable[object]]

EVERY_CALL: dict[str, SomeCall] = {
    "balance": lambda bench: bench.sms.balance(),
    "offers": lambda bench: bench.sms.offers(*bench.place),
    "create": lambda bench: bench.sms.create(bench.request(some_offer(bench))),
    "read": lambda bench: bench.sms.read("1"),
    "cancel": lambda bench: bench.sms.cancel("1"),
}


def some_offer(bench: Bench) -> Offer:
    """An offer known without asking."""
    product = next(product for product in bench.world.products("indonesia", "whatsapp") if product.available)
    return Offer(product.id, product.price)


def _plain(offer: Offer) -> tuple[object, ...]:
    return (offer.product_id, offer.price, offer.stock, _slug(offer.country), _slug(offer.platform))


def _slug(name: str) -> str:
    return name.casefold().replace(" ", "-")


class TestAccount:
    async def test_names_its_contract(self, bench: Bench, contract: Contract) -> None:
        port: SmsPort = bench.sms
        assert port.contract == contract

    async def test_balance_is_what_is_left(self, bench: Bench) -> None:
        assert await bench.sms.balance() == BALANCE
        await bench.order()
        assert await bench.sms.balance() == bench.world.balance < BALANCE

    @pytest.mark.parametrize("balance", [0, 1, 2**53 - 1])
    async def test_any_balance_is_read_exactly(self, bench: Bench, balance: int) -> None:
        bench.world.set_balance(balance)
        assert await bench.sms.balance() == balance


class TestOffers:
    @pytest.mark.parametrize("by_country", [True, False])
    @pytest.mark.parametrize("by_platform", [True, False])
    async def test_any_combination_narrows(self, bench: Bench, by_country: bool, by_platform: bool) -> None:
        country, platform = bench.place
        offers = await bench.sms.offers(country if by_country else None, platform if by_platform else None)
        expected = bench.world.products("indonesia" if by_country else None, "whatsapp" if by_platform else None)
        if bench.contract == "official":
            # Only what is in stock is listed, and nothing of a catalog that is too long as a whole.
            expected = [product for product in expected if product.available and (by_country or by_platform)]
        assert sorted(map(_plain, offers), key=str) == sorted(
            ((product.id, product.price, product.available, product.country, product.platform) for product in expected),
            key=str,
        )

    async def test_nothing_fits(self, bench: Bench) -> None:
        assert await bench.sms.offers("atlantis", bench.place[1]) == []

    async def test_names_travel_whatever_they_hold(self, bench: Bench) -> None:
        names = ("côte d'ivoire & <more>/?#%", "a+b=c")
        bench.world.set_product(*names, price=900, stock=1)
        (country,) = [found.name for found in await bench.sms.countries() if fold(found.name) == fold(names[0])]
        (platform,) = [found.name for found in await bench.sms.platforms() if fold(found.name) == fold(names[1])]
        (offer,) = await bench.sms.offers(country, platform)
        assert (offer.country, offer.platform, offer.price) == (country, platform, 900)

    async def test_lists_every_name_once(self, bench: Bench) -> None:
        for found, sold in ((await bench.sms.countries(), COUNTRIES), (await bench.sms.platforms(), PLATFORMS)):
            assert sorted(fold(name.name) for name in found) == sorted(fold(one.slug) for one in sold)

    async def test_stock_tells_what_can_be_ordered(self, bench: Bench) -> None:
        bench.world.clear_catalog()
        empty = bench.world.set_product("indonesia", "whatsapp", 900, 0)
        full = bench.world.set_product("indonesia", "whatsapp", 900, 3)
        offers = {offer.product_id: offer for offer in await bench.sms.offers(*bench.place)}
        if bench.contract == "official":
            assert empty not in offers  # what is sold out is not listed there
        else:
            assert not offers[empty].in_stock
        assert offers[full].stock == 3
        await bench.sms.create(bench.request(offers[full]))
        (left,) = [offer.stock for offer in await bench.sms.offers(*bench.place) if offer.product_id == full]
        assert left == 2


class TestCreate:
    async def test_rents_one_number_and_charges_once(self, bench: Bench) -> None:
        offer = await bench.offer()
        created = await bench.sms.create(bench.request(offer))
        (charge,) = bench.world.books.charges
        (order,) = bench.world.books.orders.values()
        assert (charge.order_id, charge.amount) == (order.id, offer.price)
        assert (bench.booked(created), created.phone_number) == (order, order.phone_number)
        assert created.status is RemoteStatus.WAITING
        assert created.expires_at == datetime.fromtimestamp(int(order.expires_at), UTC)
        assert created.code is None
        assert created.request_id

    async def test_body_is_exact_and_the_same_each_time(self, bench: Bench) -> None:
        offer = await bench.offer()
        terms = Terms(offer.price)
        assert bench.sms.create_body(offer, terms) == bench.sms.create_body(offer, terms)

    async def test_two_creates_are_two_orders(self, bench: Bench) -> None:
        offer = await bench.offer()
        first = await bench.sms.create(bench.request(offer, "k1"))
        second = await bench.sms.create(bench.request(offer, "k2"))
        assert first.remote_id != second.remote_id
        assert len(bench.world.books.charges) == 2


class TestRead:
    @pytest.mark.parametrize(
        ("written", "status"),
        [
            (OrderStatus.WAITING, RemoteStatus.WAITING),
            (OrderStatus.OTP_RECEIVED, RemoteStatus.OTP_RECEIVED),
            (OrderStatus.COMPLETED, RemoteStatus.COMPLETED),
            (OrderStatus.CANCELLED, RemoteStatus.CANCELED),
            (OrderStatus.EXPIRED, RemoteStatus.EXPIRED),
        ],
    )
    async def test_every_status(self, bench: Bench, written: OrderStatus, status: RemoteStatus) -> None:
        created = await bench.order()
        bench.world.set_status(created.remote_id, written)
        order = await bench.sms.read(created.remote_id)
        assert (order.remote_id, order.status) == (created.remote_id, status)
        assert order.phone_number == created.phone_number

    @pytest.mark.parametrize("word", ["ON_HOLD", "waiting", "<b>", "ERLEDIGT ✅"])
    async def test_an_unknown_status_stays_what_it_is(self, bench: Bench, word: str) -> None:
        created = await bench.order()
        bench.world.set_status(created.remote_id, word)
        order = await bench.sms.read(created.remote_id)
        assert (order.status, order.raw_status) == (None, word)

    async def test_shows_the_code_and_then_the_next_one(self, bench: Bench) -> None:
        created = await bench.order()
        assert (await bench.sms.read(created.remote_id)).code is None
        bench.world.arrive(created.remote_id, "012345")
        first = await bench.sms.read(created.remote_id)
        bench.world.arrive(created.remote_id, "678901")
        second = await bench.sms.read(created.remote_id, Priority.COMMAND)
        assert (first.status, first.code) == (RemoteStatus.OTP_RECEIVED, "012345")
        assert (second.status, second.code) == (RemoteStatus.OTP_RECEIVED, "678901")
        assert len(bench.world.books.shown_codes()) == 2

    async def test_a_completed_order_still_shows_its_code(self, bench: Bench) -> None:
        created = await bench.order()
        bench.world.arrive(created.remote_id, "4711")
        bench.world.complete(created.remote_id)
        order = await bench.sms.read(created.remote_id)
        assert (order.status, order.code) == (RemoteStatus.COMPLETED, "4711")

    async def test_reading_changes_nothing(self, bench: Bench) -> None:
        created = await bench.order()
        for _ in range(3):
            await bench.sms.read(created.remote_id)
        assert len(bench.world.books.charges) == 1
        assert bench.world.books.refunds == []


class TestCancel:
    async def test_before_the_code_the_money_comes_back(self, bench: Bench) -> None:
        created = await bench.order()
        await bench.sms.cancel(created.remote_id)
        (refund,) = bench.world.books.refunds
        assert refund.order_id == bench.booked(created).id
        assert await bench.sms.balance() == BALANCE
        assert (await bench.sms.read(created.remote_id)).status is RemoteStatus.CANCELED

    async def test_after_the_code_it_does_not(self, bench: Bench) -> None:
        created = await bench.order()
        bench.world.arrive(created.remote_id)
        if bench.contract == "official":
            with pytest.raises(Conflict):
                await bench.sms.cancel(created.remote_id)
        else:
            await bench.sms.cancel(created.remote_id)
            assert (await bench.sms.read(created.remote_id)).status is RemoteStatus.CANCELED
        assert bench.world.books.refunds == []
        assert await bench.sms.balance() < BALANCE

    async def test_twice_refunds_once(self, bench: Bench) -> None:
        created = await bench.order()
        await bench.sms.cancel(created.remote_id)
        with pytest.raises(ApiError):
            await bench.sms.cancel(created.remote_id)
        assert len(bench.world.books.refunds) == 1


class TestErrors:
    async def test_too_little_money(self, bench: Bench) -> None:
        offer = await bench.offer()
        bench.world.set_balance(offer.price - 1)
        with pytest.raises(BalanceTooLow):
            await bench.sms.create(bench.request(offer))
        assert bench.world.books.charges == []

    async def test_sold_out_meanwhile(self, bench: Bench) -> None:
        offer = await bench.offer()
        bench.world.sold_out(int(offer.product_id))
        with pytest.raises(ProductGone):
            await bench.sms.create(bench.request(offer))
        assert bench.world.books.charges == []

    @pytest.mark.parametrize("remote_id", ["999999", "1/cancel", "../balance", "a?b#c", "%2e%2e", "ü ✅"])
    async def test_no_such_order(self, bench: Bench, remote_id: str) -> None:
        mine = await bench.order()
        for call in (bench.sms.read(remote_id), bench.sms.cancel(remote_id)):
            with pytest.raises(SmsError) as caught:
                await call
            assert isinstance(caught.value, ApiError)
        assert bench.booked(mine).live

    async def test_missing_order_is_its_own_error(self, bench: Bench) -> None:
        with pytest.raises(RemoteOrderMissing):
            await bench.sms.read("999999")
        with pytest.raises(RemoteOrderMissing):
            await bench.sms.cancel("999999")

    async def test_an_unknown_code_survives(self, bench: Bench) -> None:
        created = await bench.order()
        error = {"code": "NUMBER_ON_HOLIDAY", "message": "It is at the beach."}
        body = json.dumps({"success": False, "error": error}).encode()
        bench.meddler.instead = Reply(409, body, {"x-request-id": "req_9"})
        with pytest.raises(ApiError) as caught:
            await bench.sms.cancel(created.remote_id)
        assert type(caught.value) is ApiError
        assert (caught.value.code, caught.value.message) == ("NUMBER_ON_HOLIDAY", "It is at the beach.")
        assert (caught.value.status, caught.value.request_id) == (409, "req_9")

    async def test_too_many_requests(self, bench: Bench) -> None:
        bench.world.requests_per_minute = 1
        await bench.sms.balance()
        with pytest.raises(RateLimited) as caught:
            await bench.sms.create(bench.request(some_offer(bench)))
        assert caught.value.retry_after is not None
        assert 1 <= caught.value.retry_after <= 60
        assert bench.budget.pause_left == pytest.approx(caught.value.retry_after, abs=1)
        assert bench.world.books.charges == []


class TestToken:
    async def test_is_presented_on_every_call(self, bench: Bench) -> None:
        order = await bench.order()
        await bench.sms.balance()
        await bench.sms.read(order.remote_id)
        await bench.sms.cancel(order.remote_id)
        presented = [headers.get("authorization") for headers in bench.meddler.seen]
        assert len(presented) >= 5
        assert set(presented) == {f"Bearer {TOKEN}"}

    @pytest.mark.parametrize("name", EVERY_CALL)
    @pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], TOKEN.upper()])
    async def test_a_wrong_one_is_rejected(self, bench: Bench, name: str, token: str) -> None:
        async with bench.stranger(token) as stranger:
            with pytest.raises(TokenRejected):
                await EVERY_CALL[name](stranger)
        assert bench.world.books.charges == []

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_goes_nowhere_but_to_its_server(self, bench: Bench, status: int) -> None:
        """A redirect is not followed, whatever it asks for."""
        visitors: list[object] = []
        async with await asyncio.start_server(lambda *streams: visitors.append(streams), "127.0.0.1", 0) as elsewhere:
            port = elsewhere.sockets[0].getsockname()[1]
            bench.meddler.instead = _redirect(status, f"http://127.0.0.1:{port}/v1/balance")
            with pytest.raises(Unclear):
                await bench.sms.balance()
        assert visitors == []
        assert len(bench.meddler.seen) == 1

    @pytest.mark.parametrize("location", ["http://[", "//", "ftp://x\u00ff/", "http://:99999999/", "\u00e9" * 9000])
    async def test_a_senseless_redirect_is_only_unclear(self, bench: Bench, location: str) -> None:
        bench.meddler.instead = _redirect(302, location)
        with pytest.raises(Unclear):
            await bench.sms.create(bench.request(some_offer(bench)))
        assert bench.world.books.charges == []

    async def test_is_told_to_nobody(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        """Neither it nor a code is in any log, at any level, nor in any error or `repr`."""
        code, told = "84729163", ""
        with caplog.at_level(logging.DEBUG):
            bench.client.timeout = QUICK
            order = await bench.order()
            bench.world.arrive(order.remote_id, code)
            assert (await bench.sms.read(order.remote_id)).code == code
            for kind in (FaultKind.RESET_AFTER, FaultKind.SILENCE, FaultKind.BROKEN_JSON, FaultKind.TRUNCATED):
                bench.world.faults.add(Fault(kind=kind))
                told += await failure_of(bench.sms.read(order.remote_id))
            told += await failure_of(bench.sms.read("999999"))
            async with bench.stranger(TOKEN[:-1]) as stranger:
                told += await failure_of(stranger.sms.balance())
            told += "".join(map(repr, (bench.client, bench.wire, bench.sms, bench.budget, bench.client.headers)))
        assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
        everything = told + caplog.text + "".join(repr(record.__dict__) for record in caplog.records)
        assert TOKEN[:-1] not in everything
        assert code not in everything


async def failure_of(call: Awaitable[object]) -> str:
    """Everything a failed call says of itself, its causes included."""
    try:
        await call
    except SmsError as error:
        lines = traceback.format_exception(error)
        return "".join(lines) + repr(error) + repr(vars(error))
    raise AssertionError("the call went through")


def _redirect(status: int, target: str) -> Reply:
    return Reply(status, headers={"location": target})


class TestConcurrency:
    async def test_many_calls_at_once_do_not_mix_their_answers(self, bench: Bench) -> None:
        offer = await bench.offer()
        bench.world.set_stock(int(offer.product_id), 40)
        bench.world.set_balance(offer.price * 40)
        created = await asyncio.gather(*(bench.sms.create(bench.request(offer, f"k{turn}")) for turn in range(40)))
        read = await asyncio.gather(*(bench.sms.read(order.remote_id) for order in created))
        assert [order.remote_id for order in read] == [order.remote_id for order in created]
        assert [order.phone_number for order in read] == [order.phone_number for order in created]
        assert len({order.remote_id for order in created}) == len(bench.world.books.charges) == 40

    async def test_more_calls_than_connections_never_leave(self, bench: Bench) -> None:
        """A call that gets no free connection in time has certainly not been sent."""
        bench.client.timeout = httpx.Timeout(5.0, pool=0.1)
        offer = some_offer(bench)
        bench.world.faults.add(Fault(kind=FaultKind.SILENCE, times=32))
        silent = [asyncio.create_task(bench.sms.balance()) for _ in range(32)]
        async with asyncio.timeout(20):
            while bench.arrived < 32:
                await asyncio.sleep(0.01)
        with pytest.raises(NotSent):
            await bench.sms.create(bench.request(offer))
        assert (bench.arrived, bench.world.books.charges) == (32, [])
        for task in silent:
            task.cancel()
        await asyncio.gather(*silent, return_exceptions=True)
        assert await bench.sms.balance() == BALANCE
