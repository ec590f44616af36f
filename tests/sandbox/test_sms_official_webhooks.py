"""Events of the official contract, sent to a real server: what they say, how they are signed, and what goes wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final

import pytest
from smscode.webhook import verify_webhook_signature

from bot.sandbox.sms_api import Mischief, SmsWorld, WebhookSender
from tests.sandbox.official import CAPABILITIES, TOKEN, Account, Clock, assert_refused, open_account, serve_account
from tests.sandbox.receiver import PATIENCE, Receiver

SECRET = "a shared secret with ümlauts"
RETRIES = (0.01, 0.01, 0.01)
EVENT_KEYS = CAPABILITIES | {
    "order_id",
    "phone_number",
    "otp_code",
    "otp_message",
    "sms_revision",
    "product_id",
    "catalog_product_id",
    "country",
    "platform",
    "operator_id",
    "operator_name",
}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened


@pytest.fixture
async def account(receiver: Receiver) -> AsyncIterator[Account]:
    """An account whose events go to `receiver`."""
    clock = Clock()
    world = SmsWorld(token=TOKEN, now=clock, arrival=None, requests_per_minute=None)
    async with WebhookSender(world, RETRIES) as webhooks, serve_account(world, clock, webhooks) as opened:
        webhooks.change(receiver.url, SECRET)
        yield opened


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not done():
            await asyncio.sleep(0.002)


class TestConfig:
    UNSET: Final = {
        "webhook_url": None,
        "webhook_secret": None,
        "webhook_disabled_at": None,
        "webhook_disabled_reason": None,
        "webhook_consecutive_failures": 0,
    }

    async def test_nothing_is_set_at_first(self) -> None:
        async with open_account() as account:
            assert await account.get("/v1/webhook") == self.UNSET
            assert_refused(await account.api.post("/v1/webhook/test"), 422, "VALIDATION_ERROR")

    async def test_what_is_sent_is_kept_and_the_rest_stays(self) -> None:
        async with open_account() as account:
            url = "https://example.com/hooks/smscode"
            first = (await account.api.patch("/v1/webhook", json={"webhook_url": url})).json()["data"]
            assert len(first["webhook_secret"]) == 64
            assert first == {**self.UNSET, "webhook_url": url, "webhook_secret": first["webhook_secret"]}
            second = (await account.api.patch("/v1/webhook", json={"webhook_secret": "s"})).json()["data"]
            assert second == {**first, "webhook_secret": "s"}
            third = (await account.api.patch("/v1/webhook", json={"webhook_url": "", "webhook_secret": None})).json()
            assert third["data"] == {**self.UNSET, "webhook_secret": "s"} == await account.get("/v1/webhook")
            await account.api.patch("/v1/webhook", json={"webhook_secret": ""})
            assert await account.get("/v1/webhook") == self.UNSET

    async def test_what_it_refuses(self, account: Account) -> None:
        before = await account.get("/v1/webhook")
        for body in (
            {},
            {"webhook_url": None},
            {"webhook_secret": 1},
            {"webhook_secret": "x" * 257},
            {"webhook_url": "https://example.com/" + "x" * 2_048},
            {"webhook_url": "https://example.com", "events": []},
            {"webhook_url": "http://example.com"},
            {"webhook_url": "https://10.0.0.1/hook"},
            {"webhook_url": "https://169.254.169.254/latest"},
            {"webhook_url": "https://[fd00::1]/"},
            {"webhook_url": "ftp://127.0.0.1/"},
            {"webhook_url": "https://"},
            {"webhook_url": "https://[/"},
            {"webhook_url": "example.com"},
            {"webhook_url": "https://exa mple.com:x/"},
        ):
            assert_refused(await account.api.patch("/v1/webhook", json=body), 422, "VALIDATION_ERROR")
        assert await account.get("/v1/webhook") == before

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:1/x", "http://localhost/", "http://[::1]:9/", "https://a.example"]
    )
    async def test_this_very_machine_is_allowed_here(self, url: str) -> None:
        async with open_account() as account:
            answer = await account.api.patch("/v1/webhook", json={"webhook_url": url})
            assert answer.json()["data"]["webhook_url"] == url

    @pytest.mark.parametrize("status", [200, 204, 404, 500])
    async def test_a_test_event_tells_what_the_receiver_said(
        self, account: Account, receiver: Receiver, status: int
    ) -> None:
        receiver.answers = lambda _turn: status
        assert (await account.sdk.v1.webhook.test()).status_code == status
        (got,) = receiver.got
        assert (got.event, got.data) == ("webhook.test", {"message": "This is a test webhook event from SMSCode."})
        assert verify_webhook_signature(got.body, got.signature, SECRET)
        assert (await account.get("/v1/webhook"))["webhook_consecutive_failures"] == 0

    async def test_nobody_at_the_other_end(self, account: Account) -> None:
        async with Receiver() as gone:
            await account.api.patch("/v1/webhook", json={"webhook_url": gone.url})
        assert_refused(await account.api.post("/v1/webhook/test"), 422, "VALIDATION_ERROR")


class TestEvents:
    async def test_an_sms_is_told_whole(self, account: Account, receiver: Receiver) -> None:
        order = await account.order()
        account.world.arrive(order.id, "012345", "Ваш код: 012345")
        await receiver.until(1)
        (got,) = receiver.got
        row = await account.read(order)
        assert got.event == "order.otp_received"
        assert got.content_type == "application/json"
        assert set(got.data) == EVENT_KEYS
        shared = EVENT_KEYS - {"order_id", "country", "platform"}
        assert {name: got.data[name] for name in shared} == {name: row[name] for name in shared}
        assert (got.data["order_id"], got.data["country"], got.data["platform"]) == (
            order.number,
            "Indonesia",
            "WhatsApp",
        )
        assert (got.data["otp_message"], got.data["sms_revision"]) == ("Ваш код: 012345", 1)

    async def test_the_moment_is_that_of_the_event(self, account: Account, receiver: Receiver) -> None:
        order = await account.order()
        account.clock.at += 77
        account.world.arrive(order.id)
        await receiver.until(1)
        told = receiver.got[0].timestamp
        assert datetime.fromisoformat(told).timestamp() == account.clock.at
        assert told.endswith("+00:00")

    async def test_the_signature_is_that_of_the_very_bytes(self, account: Account, receiver: Receiver) -> None:
        account.world.arrive((await account.order()).id, "012345", "ÄÖÜ 🇮🇩")
        await receiver.until(1)
        (got,) = receiver.got
        assert verify_webhook_signature(got.body, got.signature, SECRET)
        assert not verify_webhook_signature(got.body + b" ", got.signature, SECRET)
        assert not verify_webhook_signature(got.body, got.signature, SECRET + "!")

    async def test_without_a_secret_there_is_no_signature(self, account: Account, receiver: Receiver) -> None:
        await account.api.patch("/v1/webhook", json={"webhook_secret": ""})
        account.world.arrive((await account.order()).id)
        await receiver.until(1)
        assert receiver.got[0].signature == ""

    async def test_each_sms_is_a_snapshot_of_its_own(self, account: Account, receiver: Receiver) -> None:
        order = await account.order()
        account.world.arrive(order.id, text="Tap to log in")
        account.world.arrive(order.id, "4711", "4711 it is")
        account.world.arrive(order.id, text="Welcome!")
        await receiver.until(3)
        told = sorted((got.data["sms_revision"], got.data["otp_code"], got.data["otp_message"]) for got in receiver.got)
        assert told == [(1, None, "Tap to log in"), (2, "4711", "4711 it is"), (3, "4711", "Welcome!")]

    async def test_every_end_is_told_without_a_revision(self, account: Account, receiver: Receiver) -> None:
        account.world.complete_after = None
        finished, cancelled, expired, late = [await account.order() for _ in range(4)]
        for order in (finished, late):
            account.world.arrive(order.id, "4711")
        await account.post("finish", finished)
        await account.post("cancel", cancelled)
        account.clock.at += account.world.order_lifetime
        await receiver.until(6)
        told = {(got.event, got.data["order_id"]): got.data for got in receiver.got}
        assert set(told) == {
            ("order.otp_received", finished.number),
            ("order.otp_received", late.number),
            ("order.completed", finished.number),
            ("order.completed", late.number),
            ("order.canceled", cancelled.number),
            ("order.expired", expired.number),
        }
        ends = [data for (event, _), data in told.items() if event != "order.otp_received"]
        assert {data["sms_revision"] for data in ends} == {None}
        assert told["order.completed", finished.number]["otp_code"] == "4711"
        assert told["order.completed", finished.number]["can_reactivate"] is True
        assert told["order.canceled", cancelled.number]["otp_message"] is None

    async def test_time_alone_makes_events(self, receiver: Receiver) -> None:
        """Nobody asks for anything: what falls due is told all the same."""
        world = SmsWorld(arrival=(0.05, 0.05), complete_after=0.05)
        async with WebhookSender(world, RETRIES) as webhooks:
            webhooks.change(receiver.url, SECRET)
            world.create_order(world.products("indonesia", "whatsapp")[0].id)
            await receiver.until(2)
        assert {got.event for got in receiver.got} == {"order.otp_received", "order.completed"}

    async def test_a_code_that_was_taken_counts_as_shown(self, account: Account, receiver: Receiver) -> None:
        receiver.answers = lambda turn: 500 if turn == 1 else 204
        account.world.arrive((await account.order()).id, "4711")
        await receiver.until(1)
        assert account.world.books.shown_codes() == []
        await until(lambda: bool(account.world.books.shown_codes()))
        assert len(receiver.got) == 2

    async def test_nothing_is_sent_that_nobody_asked_for(self, account: Account, receiver: Receiver) -> None:
        await account.api.patch("/v1/webhook", json={"webhook_url": ""})
        account.world.arrive((await account.order()).id)
        await account.api.patch("/v1/webhook", json={"webhook_url": receiver.url})
        account.world.arrive((await account.order()).id, "4711")
        await receiver.until(1)
        assert [got.data["otp_code"] for got in receiver.got] == ["4711"]


class TestRetries:
    async def test_what_is_not_taken_comes_again(self, account: Account, receiver: Receiver) -> None:
        receiver.answers = lambda turn: [500, 302, 204][turn - 1]
        account.world.arrive((await account.order()).id)
        await receiver.until(3)
        assert len({got.body for got in receiver.got}) == 1
        await until(lambda: account.world.webhook.failures == 0)
        assert account.world.webhook.delivers

    async def test_it_is_given_up_after_the_last_pause(self, account: Account, receiver: Receiver) -> None:
        receiver.answers = lambda _turn: 503
        account.world.arrive((await account.order()).id)
        await until(lambda: account.world.webhook.failures == len(RETRIES) + 1)
        receiver.answers = lambda _turn: 204
        account.world.arrive((await account.order()).id, "4711")
        await receiver.until(len(RETRIES) + 2)
        assert receiver.got[-1].data["otp_code"] == "4711"
        assert len(receiver.got) == len(RETRIES) + 2

    async def test_ten_failures_in_a_row_switch_it_off_and_a_change_on_again(
        self, account: Account, receiver: Receiver
    ) -> None:
        receiver.answers = lambda _turn: 500
        for _ in range(3):
            account.world.arrive((await account.order()).id)
        await until(lambda: not account.world.webhook.delivers)
        config = await account.get("/v1/webhook")
        assert config["webhook_consecutive_failures"] >= 10
        assert config["webhook_disabled_reason"] == "consecutive_failed_user_endpoint"
        assert datetime.fromisoformat(config["webhook_disabled_at"]).timestamp() == account.clock.at
        assert config["webhook_url"] == receiver.url

        receiver.answers = lambda _turn: 204
        account.world.arrive((await account.order()).id, "1111")
        answer = await account.sdk.v1.webhook.update(webhook_secret="another")
        assert (answer.webhook_disabled_at, answer.webhook_consecutive_failures) == (None, 0)
        account.world.arrive((await account.order()).id, "2222")
        await until(lambda: any(got.data["otp_code"] == "2222" for got in receiver.got))
        assert not any(got.data["otp_code"] == "1111" for got in receiver.got)
        assert verify_webhook_signature(receiver.got[-1].body, receiver.got[-1].signature, "another")

    async def test_what_is_switched_off_is_not_tried_any_more(self, receiver: Receiver) -> None:
        world = SmsWorld(arrival=None)
        receiver.answers = lambda _turn: 500
        async with WebhookSender(world, (0.001,) * 30) as webhooks:
            webhooks.change(receiver.url, SECRET)
            world.arrive(world.create_order(world.products("indonesia", "whatsapp")[0].id).id)
            await until(lambda: not world.webhook.delivers)
            await until(lambda: "sandbox-webhook" not in {task.get_name() for task in asyncio.all_tasks()})
        assert len(receiver.got) == world.webhook.failures == 10

    async def test_a_success_starts_the_count_anew(self, account: Account, receiver: Receiver) -> None:
        receiver.answers = lambda turn: 204 if turn % 4 == 0 else 500
        for turn in range(1, 5):
            account.world.arrive((await account.order()).id)
            await receiver.until(4 * turn)
            await until(lambda: account.world.webhook.failures == 0)
        assert account.world.webhook.delivers
        assert len(receiver.got) == 16

    async def test_nobody_there_is_a_failure_too(self, account: Account) -> None:
        async with Receiver() as gone:
            await account.api.patch("/v1/webhook", json={"webhook_url": gone.url})
        account.world.arrive((await account.order()).id)
        await until(lambda: account.world.webhook.failures == len(RETRIES) + 1)
        assert account.world.webhook.delivers

    async def test_a_receiver_that_comes_back_gets_what_still_waits(self, account: Account, receiver: Receiver) -> None:
        order = await account.order()
        receiver.answers = lambda turn: 500 if turn < 4 else 204
        account.world.arrive(order.id, "4711")
        await until(lambda: bool(account.world.books.shown_codes()))
        assert [got.data["otp_code"] for got in receiver.got] == ["4711"] * 4


class TestMischief:
    async def test_twice(self, account: Account, receiver: Receiver) -> None:
        account.world.mischief = Mischief(times=2)
        account.world.arrive((await account.order()).id)
        await receiver.until(2)
        assert receiver.got[0].body == receiver.got[1].body

    async def test_never(self, account: Account, receiver: Receiver) -> None:
        account.world.mischief = Mischief(lost=True)
        account.world.arrive((await account.order()).id, "1111")
        account.world.mischief = Mischief()
        account.world.arrive((await account.order()).id, "2222")
        await receiver.until(1)
        assert [got.data["otp_code"] for got in receiver.got] == ["2222"]

    async def test_late(self, account: Account, receiver: Receiver) -> None:
        """Perhaps later than the end of the order, and still as it was when it happened."""
        account.world.mischief = Mischief(late=0.2)
        order = await account.order()
        began = asyncio.get_running_loop().time()
        account.world.arrive(order.id, "1111")
        await account.post("finish", order)
        await receiver.until(2)
        assert asyncio.get_running_loop().time() - began >= 0.2
        told = {got.event: got.data for got in receiver.got}
        assert told["order.otp_received"]["can_finish"] is True
        assert told["order.completed"]["can_finish"] is False

    async def test_in_the_wrong_order(self, account: Account, receiver: Receiver) -> None:
        account.world.mischief = Mischief(swapped=True)
        order = await account.order()
        for code in ("1111", "2222", "3333", "4444"):
            account.world.arrive(order.id, code)
            account.clock.at += 1
        await receiver.until(4)
        turns = [got.data["sms_revision"] for got in receiver.got]
        assert turns.index(2) < turns.index(1)
        assert turns.index(4) < turns.index(3)

    async def test_signed_by_somebody_else(self, account: Account, receiver: Receiver) -> None:
        account.world.mischief = Mischief(forged=True)
        account.world.arrive((await account.order()).id, "1111")
        await receiver.until(1)
        account.world.mischief = Mischief()
        account.world.arrive((await account.order()).id, "2222")
        await until(lambda: bool(account.world.books.shown_codes()))
        forged, sound = receiver.got
        assert forged.signature.startswith("sha256=")
        assert not verify_webhook_signature(forged.body, forged.signature, SECRET)
        assert verify_webhook_signature(sound.body, sound.signature, SECRET)
        assert [sms.code for sms in account.world.books.shown_codes()] == ["2222"]


class TestLife:
    async def test_events_leave_only_while_it_is_entered(self, receiver: Receiver) -> None:
        world = SmsWorld(arrival=None)
        product = world.products("indonesia", "whatsapp")[0]
        webhooks = WebhookSender(world, RETRIES)
        webhooks.change(receiver.url, SECRET)
        world.arrive(world.create_order(product.id).id, "1111")
        async with webhooks:
            world.arrive(world.create_order(product.id).id, "2222")
            await receiver.until(1)
        world.arrive(world.create_order(product.id).id, "3333")
        async with webhooks:
            world.arrive(world.create_order(product.id).id, "4444")
            await receiver.until(2)
        assert [got.data["otp_code"] for got in receiver.got] == ["2222", "4444"]
        assert world.listeners == []

    async def test_it_ends_in_the_middle_of_its_retries(self, receiver: Receiver) -> None:
        world = SmsWorld(arrival=None)
        receiver.answers = lambda _turn: 500
        async with WebhookSender(world, (60.0,)) as webhooks:
            webhooks.change(receiver.url, SECRET)
            world.arrive(world.create_order(world.products("indonesia", "whatsapp")[0].id).id)
            await receiver.until(1)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("sandbox-webhook")]
