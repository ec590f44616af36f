"""The door for SMSCode's events: what is taken, what is refused, and that an event is never more than a hint."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.sandbox.bot_api import ADA, OMAR
from bot.sandbox.sms_api import Fault, FaultKind, SmsWorld
from bot.sms.client import trusted
from bot.web.app import LARGEST_EVENT
from bot.web.signatures import is_signed
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene
from tests.web.site import answers, free_port, open_web

SECRET = "a-secret-of-the-team-and-smscode"
READ = ("GET", "/v1/orders/{id}")
LIST = ("GET", "/v1/orders/active")


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def told(order_id: object, event: str = "order.otp_received") -> bytes:
    return json.dumps(
        {"event": event, "timestamp": "2026-03-14T12:00:00+00:00", "data": {"order_id": order_id}}
    ).encode()


@contextlib.asynccontextmanager
async def open_site(folder: Path, secret: str = SECRET, **more: Any) -> AsyncIterator[tuple[Scene, httpx.AsyncClient]]:
    """A desk that listens for events, whose polling is far too slow to see anything before a hint does."""
    secret_of_events = {"webhook_secret": secret}
    async with open_web(
        folder, contract="official", polling={"interval": 300}, smscode=secret_of_events, **more
    ) as site:
        yield site


async def post(client: httpx.AsyncClient, body: bytes, *signatures: str) -> int:
    headers = [("x-webhook-signature", signature) for signature in signatures]
    answer = await client.post("/smscode/webhook", content=body, headers=headers)
    assert answer.content == b""
    return answer.status_code


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Scene, httpx.AsyncClient]]:
    async with open_site(tmp_path) as opened:
        yield opened


Site = tuple[Scene, httpx.AsyncClient]


async def test_an_event_has_its_order_read_and_the_code_pushed(site: Site) -> None:
    scene, client = site
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "482913")
    body = told(order.number)
    assert await post(client, body, sign(body)) == 204
    await scene.hears("482913", OMAR)


async def test_what_an_event_says_itself_is_not_believed(site: Site) -> None:
    scene, client = site
    order = await scene.order("whatsapp id")
    reads = scene.sms.books.requests[READ]
    event = {"event": "order.otp_received", "data": {"order_id": order.number, "otp_code": "666666"}}
    body = json.dumps(event).encode()
    assert await post(client, body, sign(body)) == 204
    await scene.until(lambda: scene.sms.books.requests[READ] > reads)
    await scene.settle()
    assert not any("666666" in text for text in scene.said_by_bot(OMAR))


async def test_events_that_come_together_share_a_request(site: Site) -> None:
    scene, client = site
    crowd = [await scene.hire(6000 + number, f"Member {number}") for number in range(12)]
    ordered = [await scene.order("whatsapp id", user_id) for user_id in crowd]
    asked = scene.sms.books.requests[READ] + scene.sms.books.requests[LIST]
    for order in ordered:
        scene.sms.arrive(order.id)
    bodies = [told(order.number) for order in ordered]
    assert await asyncio.gather(*(post(client, body, sign(body)) for body in bodies)) == [204] * len(bodies)
    for user_id in crowd:
        await scene.hears("🔑", user_id)
    assert scene.sms.books.requests[READ] + scene.sms.books.requests[LIST] - asked <= 4
    await scene.reconcile()


async def test_a_repeated_event_is_one_message(site: Site) -> None:
    scene, client = site
    order = await scene.order("whatsapp id")
    scene.sms.arrive(order.id, "482913")
    body = told(order.number)
    for _ in range(5):
        assert await post(client, body, sign(body)) == 204
    await scene.hears("482913", OMAR)
    await scene.settle()
    assert sum("482913" in text for text in scene.said_by_bot(OMAR)) == 1


async def test_an_event_before_the_answer_to_the_create_waits_for_it(site: Site) -> None:
    scene, client = site
    scene.sms.create_takes = 0.5
    number = max((order.number for order in scene.sms.books.orders.values()), default=100_000) + 1
    scene.say(OMAR, "/order whatsapp id")
    await scene.until(lambda: scene.sms.books.requests["POST", "/v1/orders/create"] == 1)
    body = told(number)
    assert await post(client, body, sign(body)) == 204
    reads = scene.sms.books.requests[READ]
    await scene.hears("📱", OMAR)
    assert [order.number for order in scene.sms.live_orders()] == [number]
    await scene.until(lambda: scene.sms.books.requests[READ] > reads)


@pytest.mark.parametrize(
    "signatures",
    [
        (),
        ("",),
        ("sha256=",),
        ("sha256=" + "0" * 64,),
        ("sha1=" + "0" * 40,),
        ("nonsense",),
        (sign(told(1), "another secret of the same length"),),
        (sign(told(1)), sign(told(1))),
        (sign(told(1)).removeprefix("sha256="),),
        (sign(told(1)) + "00",),
    ],
)
async def test_an_event_without_a_valid_signature_does_nothing(site: Site, signatures: tuple[str, ...]) -> None:
    scene, client = site
    order = await scene.order("whatsapp id")
    reads = scene.sms.books.requests[READ]
    assert await post(client, told(order.number), *signatures) == 401
    await scene.settle()
    assert scene.sms.books.requests[READ] == reads


async def test_a_signed_event_of_anything_else_is_taken_and_passed_over(site: Site) -> None:
    """A refusal would be sent again, and ten of them end all delivery."""
    scene, client = site
    order = await scene.order("whatsapp id")
    reads = scene.sms.books.requests[READ]
    strange = [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b"[" * 30_000,
        b'{"event":"order.otp_received"}',
        b'{"event":"order.otp_received","data":[]}',
        b'{"event":"order.otp_received","data":{"order_id":NaN}}',
        told(order.number, "order.painted_blue"),
        told(order.number, "webhook.test"),
        *map(told, (None, True, "", "x", str(order.number), -5, 0, 1.5, 2**63, [order.number], {"id": order.number})),
        b'{"event":"order.expired","data":{"order_id":' + b"9" * 5000 + b"}}",
    ]
    for body in strange:
        assert await post(client, body, sign(body)) == 204, body[:80]
    await scene.settle()
    assert scene.sms.books.requests[READ] == reads


async def test_an_event_about_a_foreign_order_is_forgotten(site: Site) -> None:
    scene, client = site
    reads = scene.sms.books.requests[READ]
    body = told(987_654_321)
    assert await post(client, body, sign(body)) == 204
    await scene.settle()
    assert scene.sms.books.requests[READ] == reads


async def test_a_body_beyond_any_event_is_refused_unread(site: Site) -> None:
    _, client = site
    body = b"x" * (LARGEST_EVENT + 1)
    assert await post(client, body, sign(body)) == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"y" * LARGEST_EVENT

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        answer = await client.post("/smscode/webhook", content=endless())
        assert answer.status_code == 413
    largest = b" " * (LARGEST_EVENT - len(told(1))) + told(1)
    assert await post(client, largest, sign(largest)) == 204


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_the_door_takes_nothing_but_posts(site: Site, method: str) -> None:
    _, client = site
    assert (await client.request(method, "/smscode/webhook")).status_code == 405
    assert (await client.get("/")).status_code == 404


async def test_answers_say_nothing_of_the_house(site: Site) -> None:
    _, client = site
    answer = await client.get("/healthz")
    assert answer.json() == {"status": "ok"}
    assert "server" not in answer.headers


async def test_without_a_secret_every_event_is_refused(tmp_path: Path) -> None:
    async with open_site(tmp_path, secret="") as (scene, client):
        order = await scene.order("whatsapp id")
        reads = scene.sms.books.requests[READ]
        body = told(order.number)
        for signature in ((), (sign(body, ""),), (sign(body),)):
            assert await post(client, body, *signature) == 503
        await scene.settle()
        assert scene.sms.books.requests[READ] == reads


async def test_a_port_that_is_taken_stops_nothing_else(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with open_scene(tmp_path, contract="official", web={"listen": f"127.0.0.1:{port}"}) as scene:
            alert = await scene.hears("I cannot listen on", ADA, anew=False)
            assert f"127.0.0.1:{port}" in alert.text
            order = await scene.order("whatsapp id")
            scene.sms.arrive(order.id, "482913")
            await scene.hears("482913", OMAR)
            taken.close()
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=trusted()
            ) as client:
                await answers(client)


async def test_a_request_that_hangs_holds_up_no_stop(tmp_path: Path) -> None:
    async with open_site(tmp_path) as (scene, client):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"POST /smscode/webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc")
        await writer.drain()
        async with asyncio.timeout(9):
            await scene.stop()
        writer.close()
        del reader


class TestRegistration:
    async def test_the_desk_registers_itself_and_proves_its_events(self, tmp_path: Path) -> None:
        clock = FastClock(1.0, NOON)
        sms = SmsWorld(now=clock.now, arrival=None)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        async with (
            open_scene(
                tmp_path,
                sms=sms,
                clock=clock,
                contract="official",
                smscode={"webhook_secret": SECRET},
                web={"listen": f"127.0.0.1:{port}", "public_url": url},
            ) as scene,
            scene.webhooks,
        ):
            await scene.until(lambda: scene.webhooks.config.url == f"{url}/smscode/webhook")
            assert scene.webhooks.config.secret == SECRET
            for number in range(3):
                order = await scene.order("whatsapp id")
                sms.arrive(order.id, f"48291{number}")
                await scene.hears(f"48291{number}", OMAR, anew=False)
            await scene.until(lambda: scene.app.desk.webhooks.proven)
            shown = await scene.ask(ADA, "/status", "The desk")
            assert "they have proven themselves" in shown.text
            scene.webhooks.mischief.lost = True
            order = await scene.order("whatsapp vn")
            sms.arrive(order.id, "482999")
            await scene.hears("482999", OMAR, anew=False, patience=30)
            assert not scene.app.desk.webhooks.proven

    async def test_a_delivery_that_was_given_up_is_told_and_switched_on_again(self, tmp_path: Path) -> None:
        sms_config = {"webhook_secret": SECRET}
        port = free_port()
        web = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
        async with open_scene(tmp_path, contract="official", smscode=sms_config, web=web) as scene:
            await scene.until(lambda: bool(scene.webhooks.config.url))
            telegram, sms, clock = scene.telegram, scene.sms, scene.clock
        sms.webhook.disabled_at = "2026-03-14T12:00:00+00:00"
        sms.webhook.disabled_reason = "10 deliveries in a row have failed"
        async with open_scene(
            tmp_path,
            telegram=telegram,
            sms=sms,
            clock=clock,
            members=False,
            contract="official",
            smscode=sms_config,
            web=web,
        ) as again:
            alert = await again.hears("had stopped sending its events", ADA, anew=False)
            assert "10 deliveries in a row have failed" in alert.text
            await again.until(lambda: again.webhooks.config.disabled_at is None)

    async def test_what_is_switched_off_while_the_desk_runs_is_registered_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.workers.registrar._EVERY", 20.0)
        monkeypatch.setattr("bot.workers.registrar._TRY_AGAIN", 5.0)
        clock = FastClock(SPEED, NOON)
        sms = SmsWorld(now=clock.now, arrival=None)
        sms.faults.add(Fault(kind=FaultKind.ERROR_BEFORE, route="GET /v1/webhook"))
        port = free_port()
        web = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
        rules = {"webhook_secret": SECRET}
        async with open_scene(tmp_path, sms=sms, clock=clock, contract="official", smscode=rules, web=web) as scene:
            config = scene.webhooks.config
            await scene.until(lambda: bool(config.url))
            assert sms.faults.queued == []
            config.disabled_at, config.disabled_reason = "2026-03-14T12:00:00+00:00", "10 deliveries have failed"
            await scene.hears("10 deliveries have failed", ADA)
            await scene.until(lambda: config.disabled_at is None)
            config.url = "https://elsewhere.example/hook"
            await scene.until(lambda: config.url == f"http://127.0.0.1:{port}/smscode/webhook")
            await scene.written("SELECT count(*) = 2 FROM audit WHERE action = 'webhook.register'")

    async def test_the_guide_has_no_webhooks_and_that_is_no_fault(self, tmp_path: Path) -> None:
        port = free_port()
        web = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
        async with open_scene(tmp_path, smscode={"webhook_secret": SECRET}, web=web) as scene:
            order = await scene.order()
            scene.sms.arrive(order.id, "482913")
            await scene.hears("482913", OMAR)
            assert all(worker.restarts == 0 for worker in scene.app.supervisor.workers)


def flips(body: bytes) -> Iterator[bytes]:
    for place in range(len(body)):
        yield body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


@settings(max_examples=60)
@given(st.binary(max_size=64), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_any_other_body_or_secret_is_refused(body: bytes, secret: str) -> None:
    good = sign(body, secret)
    assert is_signed(body, [good], secret)
    assert not any(is_signed(other, [good], secret) for other in flips(body))
    assert not any(is_signed(body, [other.decode()], secret) for other in flips(good.encode()))
    assert not is_signed(body, [good], secret + "x")
    assert not is_signed(body, [sign(body, "")], "")


@settings(max_examples=100)
@given(st.binary(max_size=32), st.lists(st.text(max_size=80), max_size=3))
def test_no_text_in_the_place_of_a_signature_breaks_anything(body: bytes, signatures: list[str]) -> None:
    assert not is_signed(body, signatures, SECRET) or signatures == [sign(body)]
