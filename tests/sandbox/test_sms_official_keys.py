"""Idempotency keys of the official contract: one effect and one answer, whatever happens on the wire."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from smscode.errors import IdempotencyKeyReuseError, RequestInProgressError, SmscodeError

from bot.sandbox.sms_api import Fault, FaultKind
from tests.sandbox.official import Account, assert_refused, open_account, serve_account

CREATE = "POST /v1/orders/create"
REACTIVATE = "POST /v1/orders/reactivate"
LOST_AFTER_THE_EFFECT = [
    FaultKind.RESET_AFTER,
    FaultKind.TRUNCATED,
    FaultKind.SILENCE_AFTER,
    FaultKind.ERROR_AFTER,
    FaultKind.WRONG_TYPE,
    FaultKind.BROKEN_JSON,
]
LOST_BEFORE_IT = [
    FaultKind.RESET_BEFORE,
    FaultKind.SILENCE,
    FaultKind.ERROR_BEFORE,
    FaultKind.RATE_LIMITED,
    FaultKind.UNAVAILABLE,
    FaultKind.HTML,
]


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with open_account() as opened:
        yield opened


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not done():
            await asyncio.sleep(0.002)


async def lost(account: Account, kind: FaultKind, route: str, send: Callable[[], Any]) -> None:
    """Send a request that meets a fault, as a client does that waits for half a second."""
    account.world.faults.add(Fault(kind=kind, route=route))
    patience = account.api.timeout
    account.api.timeout = httpx.Timeout(10.0, read=0.5)
    try:
        answer = await send()
    except httpx.TransportError:
        pass
    else:
        sound = answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        assert not sound or kind is FaultKind.BROKEN_JSON
    account.api.timeout = patience
    assert [event.fault.kind for event in account.world.faults.log] == [kind]


class TestReplay:
    async def test_the_same_request_is_the_same_answer(self, account: Account) -> None:
        first, second = await account.create("k"), await account.create("k")
        assert first.status_code == second.status_code == 200
        assert first.content == second.content
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        assert len(account.world.books.charges) == 1

    async def test_it_stays_the_first_answer_whatever_became_of_the_order(self, account: Account) -> None:
        first = await account.create("k")
        order = account.world.order_by_number(first.json()["data"]["orders"][0]["id"])
        await account.post("cancel", order)
        account.world.clear_catalog()
        account.world.set_balance(0)
        account.world.trip_abuse_guard(60)
        account.clock.at += 100_000
        assert (await account.create("k")).content == first.content

    async def test_the_same_meaning_is_the_same_body(self, account: Account) -> None:
        first = await account.create("k", catalog_product_id=account.kind(), max_price=None)
        second = await account.create("k", quantity=1, catalog_product_id=account.kind())
        assert first.content == second.content
        assert len(account.world.books.charges) == 1

    @pytest.mark.parametrize("more", [{"max_price": 99_999}, {"quantity": 2}, {"policy": "best_success"}])
    async def test_another_body_is_refused(self, account: Account, more: dict[str, Any]) -> None:
        first = await account.create("k")
        answer = await account.create("k", catalog_product_id=account.kind(), **more)
        assert_refused(answer, 422, "IDEMPOTENCY_KEY_REUSED")
        assert (await account.create("k")).content == first.content
        assert len(account.world.books.charges) == 1
        with pytest.raises(IdempotencyKeyReuseError):
            await account.sdk.v1.orders.create(product_id=account.cheapest().id, idempotency_key="k")

    async def test_another_key_is_another_order(self, account: Account) -> None:
        await account.create("k1")
        await account.create("K1")
        assert len(account.world.books.charges) == 2

    async def test_a_refusal_had_no_effect_so_the_key_may_try_again(self, account: Account) -> None:
        account.world.set_balance(0)
        assert_refused(await account.create("k"), 409, "INSUFFICIENT_BALANCE")
        account.world.set_balance(150_000)
        first = await account.create("k")
        assert (await account.create("k")).content == first.content
        assert len(account.world.books.charges) == 1

    async def test_but_it_stays_bound_to_its_body(self, account: Account) -> None:
        account.world.set_balance(0)
        await account.create("k")
        account.world.set_balance(150_000)
        answer = await account.create("k", product_id=account.cheapest().id)
        assert_refused(answer, 422, "IDEMPOTENCY_KEY_REUSED")
        assert account.world.books.charges == []

    async def test_a_request_that_never_made_sense_binds_nothing(self, account: Account) -> None:
        assert_refused(await account.create("k", product_id=1, max_price=1), 422, "VALIDATION_ERROR")
        assert (await account.create("k")).status_code == 200

    async def test_a_create_and_a_reactivation_never_share_a_key(self, account: Account) -> None:
        order = await completed(account, "k")
        answer = await reactivate(account, order, "k")
        assert answer.status_code == 200
        assert answer.content != (await account.create("k")).content
        assert len(account.world.books.charges) == 2

    async def test_a_reactivation_is_replayed_as_well(self, account: Account) -> None:
        order = await completed(account, "k1")
        first, second = [await reactivate(account, order, "k2") for _ in range(2)]
        assert first.content == second.content
        assert len(account.world.books.charges) == 2
        answer = await account.api.post(
            "/v1/orders/reactivate", json={"id": order, "max_price": 99_999}, headers={"idempotency-key": "k2"}
        )
        assert_refused(answer, 422, "IDEMPOTENCY_KEY_REUSED")

    async def test_the_server_remembers_over_its_own_restart(self, account: Account) -> None:
        first = await account.create("k")
        async with serve_account(account.world, account.clock) as again:
            assert (await again.create("k")).content == first.content
        assert len(account.world.books.charges) == 1


class TestFaults:
    @pytest.mark.parametrize("kind", LOST_AFTER_THE_EFFECT)
    async def test_an_answer_that_was_lost_is_told_again_without_a_second_charge(
        self, account: Account, kind: FaultKind
    ) -> None:
        await lost(account, kind, CREATE, lambda: account.create("k"))
        (order,) = account.world.books.orders.values()
        answer = await account.create("k")
        (row,) = answer.json()["data"]["orders"]
        assert (row["id"], row["phone_number"], row["amount"]) == (order.number, order.phone_number, order.price)
        assert len(account.world.books.charges) == 1

    @pytest.mark.parametrize("kind", LOST_BEFORE_IT)
    async def test_a_request_that_was_lost_runs_for_the_first_time(self, account: Account, kind: FaultKind) -> None:
        await lost(account, kind, CREATE, lambda: account.create("k"))
        assert account.world.books.charges == []
        assert (await account.create("k")).status_code == 200
        assert len(account.world.books.charges) == 1

    @pytest.mark.parametrize("kind", LOST_AFTER_THE_EFFECT)
    async def test_a_reactivation_too(self, account: Account, kind: FaultKind) -> None:
        number = await completed(account, "k1")
        await lost(account, kind, REACTIVATE, lambda: reactivate(account, number, "k2"))
        charged = account.world.books.charged
        answer = await reactivate(account, number, "k2")
        assert answer.json()["data"]["orders"][0]["id"] == number + 1
        assert account.world.books.charged == charged

    async def test_a_proxy_in_between_may_hide_an_effect(self, account: Account) -> None:
        account.world.faults.add(Fault(kind=FaultKind.HTML, effect=True, route=CREATE))
        assert (await account.create("k")).status_code == 502
        assert (await account.create("k")).status_code == 200
        assert len(account.world.books.charges) == 1

    async def test_many_at_once_with_one_key_are_one_order(self, account: Account) -> None:
        answers = await asyncio.gather(*(account.create("k") for _ in range(12)))
        assert {answer.content for answer in answers} == {answers[0].content}
        assert len(account.world.books.charges) == 1

    async def test_the_sdk_gets_its_order_by_sending_again(self, account: Account) -> None:
        account.world.faults.add(Fault(kind=FaultKind.RESET_AFTER, route=CREATE))
        body = {"catalog_product_id": account.kind()}
        with pytest.raises(SmscodeError) as caught:
            await account.sdk.v1.orders.create(body)
        created = await account.sdk.v1.orders.create(body, idempotency_key=caught.value.idempotency_key)
        (order,) = account.world.books.orders.values()
        assert created.orders[0]["id"] == order.number
        assert len(account.world.books.charges) == 1


class TestInProgress:
    @pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.SLOW])
    async def test_while_the_first_is_held_back(self, account: Account, kind: FaultKind) -> None:
        account.world.faults.add(Fault(kind=kind, seconds=60.0, route=CREATE))
        async with sent(account.create("k")):
            await until(lambda: bool(account.world.faults.log))
            assert_refused(await account.create("k"), 409, "REQUEST_IN_PROGRESS")
            with pytest.raises(RequestInProgressError):
                await account.sdk.v1.orders.create({"catalog_product_id": account.kind()}, idempotency_key="k")
            assert (await account.create("another")).status_code == 200
            assert len(account.world.books.charges) == 1 + (kind is FaultKind.LATE)

    @pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.SLOW])
    async def test_and_its_answer_afterwards(self, account: Account, kind: FaultKind) -> None:
        account.world.faults.add(Fault(kind=kind, seconds=0.05, route=CREATE))
        first = await account.create("k")
        assert first.status_code == 200
        assert (await account.create("k")).content == first.content
        assert len(account.world.books.charges) == 1

    async def test_a_client_that_gave_up_does_not_end_it(self, account: Account) -> None:
        account.world.faults.add(Fault(kind=FaultKind.SLOW, seconds=0.3, route=CREATE))
        account.api.timeout = httpx.Timeout(10.0, read=0.1)
        with pytest.raises(httpx.ReadTimeout):
            await account.create("k")
        account.api.timeout = httpx.Timeout(10.0)
        async with asyncio.timeout(15):
            while (answer := await account.create("k")).status_code == 409:
                await asyncio.sleep(0.01)
        assert answer.json()["data"]["orders"][0]["id"] == 100_001
        assert len(account.world.books.charges) == 1

    async def test_two_that_are_held_back_are_still_one_order(self, account: Account) -> None:
        account.world.faults.add(Fault(kind=FaultKind.SLOW, seconds=0.3, times=2, route=CREATE))
        answers = await asyncio.gather(account.create("k"), account.create("k"))
        assert sorted(answer.status_code for answer in answers) in ([200, 200], [200, 409])
        assert len(account.world.books.charges) == 1

    @pytest.mark.parametrize("action", ["create", "reactivate"])
    async def test_while_the_work_itself_takes_long(self, account: Account, action: str) -> None:
        number = await completed(account, "k1")

        async def send(key: str) -> httpx.Response:
            return await (account.create(key) if action == "create" else reactivate(account, number, key))

        account.world.create_takes = 60.0
        async with sent(send("k2")):
            await until(lambda: any(kept.running for kept in account.world.books.keyed.values()))
            assert_refused(await send("k2"), 409, "REQUEST_IN_PROGRESS")
        account.world.create_takes = 0.01
        first = await send("k3")
        assert first.status_code == 200
        assert (await send("k3")).content == first.content
        assert len(account.world.books.charges) == 2


@asynccontextmanager
async def sent(request: Coroutine[Any, Any, httpx.Response]) -> AsyncIterator[None]:
    """Let a request wait for its answer meanwhile."""
    waiting = asyncio.create_task(request)
    yield
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def completed(account: Account, key: str) -> int:
    """The number of an order that was created with `key`, got its SMS and is over."""
    answer = await account.create(key)
    number: int = answer.json()["data"]["orders"][0]["id"]
    account.world.arrive(str(number))
    account.world.complete(str(number))
    return number


async def reactivate(account: Account, number: int, key: str) -> httpx.Response:
    """Ask for the number of an order once more."""
    return await account.api.post("/v1/orders/reactivate", json={"id": number}, headers={"idempotency-key": key})
