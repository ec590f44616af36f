"""What a create is said to have done, for everything that can happen on the wire, against what it really did.

The rule that money hangs on: `NotSent` and `ApiError` mean that nothing was charged, so whatever was charged is
either confirmed or `Unclear`. And nothing is ever sent twice.
"""

import asyncio
import dataclasses
import email.utils
import gzip
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from bot.domain.errors import ApiError, NotSent, ProductGone, RateLimited, SmsError, Unclear
from bot.domain.orders import RemoteOrder, RemoteStatus
from bot.sandbox.sms_api import Contract, Fault, FaultKind
from bot.sms.client import make_client
from bot.sms.port import CreateRequest, Priority
from bot.sms.wire import COMMAND_PATIENCE, Call, Wire
from tests.contracts.bench import ADAPTERS, QUICK, TOKEN, Bench, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Told:
    """What the desk was told of a create, and what happened."""

    order: RemoteOrder | None
    error: SmsError | None
    sent: int
    charged: int


async def attempt(
    bench: Bench,
    fault: Fault | None = None,
    *,
    instead: Reply | None = None,
    spoil: Callable[[Reply], Reply] | None = None,
) -> Told:
    """Create one order, with the patience of a test, while that goes wrong."""
    request = bench.request(await bench.offer())
    bench.client.timeout = QUICK
    if fault is not None:
        bench.world.faults.add(fault)
    bench.meddler.instead, bench.meddler.spoil = instead, spoil
    seen, charged = len(bench.meddler.seen), len(bench.world.books.charges)
    order: RemoteOrder | None = None
    error: SmsError | None = None
    try:
        order = await bench.sms.create(request)
    except SmsError as caught:
        error = caught
    bench.meddler.instead = bench.meddler.spoil = None
    return Told(order, error, len(bench.meddler.seen) - seen, len(bench.world.books.charges) - charged)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "error", "charged"),
        [
            (Fault(kind=FaultKind.RESET_BEFORE), Unclear, 0),
            (Fault(kind=FaultKind.RESET_AFTER), Unclear, 1),
            (Fault(kind=FaultKind.SILENCE), Unclear, 0),
            (Fault(kind=FaultKind.SILENCE_AFTER), Unclear, 1),
            (Fault(kind=FaultKind.LATE, seconds=0.5), Unclear, 1),
            (Fault(kind=FaultKind.TRUNCATED), Unclear, 1),
            (Fault(kind=FaultKind.ERROR_BEFORE), Unclear, 0),
            (Fault(kind=FaultKind.ERROR_AFTER), Unclear, 1),
            (Fault(kind=FaultKind.ERROR_AFTER, status=504), Unclear, 1),
            (Fault(kind=FaultKind.ERROR_BEFORE, status=408), Unclear, 0),
            (Fault(kind=FaultKind.ERROR_AFTER, status=408), Unclear, 1),
            (Fault(kind=FaultKind.ERROR_BEFORE, status=400), ApiError, 0),
            (Fault(kind=FaultKind.HTML), Unclear, 0),
            (Fault(kind=FaultKind.HTML, effect=True), Unclear, 1),
            (Fault(kind=FaultKind.HTML, status=403), ApiError, 0),
            (Fault(kind=FaultKind.BROKEN_JSON), Unclear, 1),
            (Fault(kind=FaultKind.RATE_LIMITED), RateLimited, 0),
            (Fault(kind=FaultKind.UNAVAILABLE), Unclear, 0),
        ],
        ids=lambda value: f"{value.kind}-{value.status}-{value.effect}" if isinstance(value, Fault) else None,
    )
    async def test_is_told_as_it_is(self, bench: Bench, fault: Fault, error: type[SmsError], charged: int) -> None:
        told = await attempt(bench, fault)
        assert type(told.error) is error
        assert (told.sent, told.charged) == (1, charged)
        assert len(bench.world.faults.log) == 1

    @pytest.mark.parametrize(
        "fault", [Fault(kind=FaultKind.WRONG_TYPE), Fault(kind=FaultKind.LATE, seconds=0.05)], ids=lambda f: f.kind
    )
    async def test_an_odd_but_whole_answer_is_taken(self, bench: Bench, fault: Fault) -> None:
        told = await attempt(bench, fault)
        assert told.order is not None
        assert bench.booked(told.order).price
        assert (told.sent, told.charged) == (1, 1)

    async def test_one_failure_leaves_the_next_call_alone(self, bench: Bench) -> None:
        """A connection that broke is not used again."""
        for kind in (FaultKind.RESET_AFTER, FaultKind.TRUNCATED, FaultKind.SILENCE, FaultKind.BROKEN_JSON):
            told = await attempt(bench, Fault(kind=kind))
            assert isinstance(told.error, Unclear)
            assert await bench.sms.balance() == bench.world.balance

    async def test_a_server_that_is_down(self, bench: Bench) -> None:
        request = bench.request(await bench.offer())
        bench.world.down = True
        with pytest.raises(Unclear):
            await bench.sms.create(request)
        assert bench.world.books.charges == []


class TestNeverLeft:
    async def test_connection_refused(self, bench: Bench) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else gets it, and nobody answers
            async with make_client(f"http://127.0.0.1:{taken.getsockname()[1]}", TOKEN) as client:
                sms = ADAPTERS[bench.contract](Wire(client, bench.budget, bench.clock))
                with pytest.raises(NotSent) as caught:
                    await sms.create(CreateRequest(bench.request(await bench.offer()).body, "k1"))
        assert caught.value.retry_after is None
        assert bench.world.books.charges == []

    async def test_a_server_of_another_kind(self, bench: Bench) -> None:
        async with make_client("gopher://127.0.0.1", TOKEN) as client:
            sms = ADAPTERS[bench.contract](Wire(client, bench.budget, bench.clock))
            with pytest.raises(NotSent):
                await sms.balance()

    async def test_a_pause_beyond_a_persons_patience(self, bench: Bench) -> None:
        request = bench.request(await bench.offer())
        sent = len(bench.meddler.seen)
        bench.budget.pause(COMMAND_PATIENCE + 5)
        with pytest.raises(NotSent) as caught:
            await bench.sms.create(request)
        assert caught.value.retry_after == pytest.approx(COMMAND_PATIENCE + 5, abs=1)
        assert (len(bench.meddler.seen), bench.world.books.charges) == (sent, [])

    async def test_a_caller_who_leaves_early_sends_nothing(self, bench: Bench) -> None:
        request = bench.request(await bench.offer())
        sent = len(bench.meddler.seen)
        bench.budget.pause(COMMAND_PATIENCE - 1)
        waiting = asyncio.create_task(bench.sms.create(request))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (len(bench.meddler.seen), bench.world.books.charges) == (sent, [])


class TestPauses:
    @pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.UNAVAILABLE])
    @pytest.mark.parametrize(
        ("asked", "pause"), [(7, 7), ("9", 9), (None, 5), ("soon", 5), ("-3", 5), ("", 5), (0, 1), (10**12, 600)]
    )
    async def test_everyone_waits_as_long_as_asked(
        self, bench: Bench, kind: FaultKind, asked: int | str | None, pause: float
    ) -> None:
        told = await attempt(bench, Fault(kind=kind, retry_after=asked))
        assert told.charged == 0
        assert bench.budget.pause_left == pytest.approx(pause, abs=0.9)

    @pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.UNAVAILABLE])
    async def test_until_a_date(self, bench: Bench, kind: FaultKind) -> None:
        date = email.utils.formatdate(bench.clock.now() + 40, usegmt=True)
        told = await attempt(bench, Fault(kind=kind, retry_after=date))
        assert 37 < bench.budget.pause_left <= 40
        if isinstance(told.error, RateLimited):
            assert told.error.retry_after == pytest.approx(bench.budget.pause_left, abs=1)

    async def test_the_error_says_how_long(self, bench: Bench) -> None:
        fault = Fault(kind=FaultKind.RATE_LIMITED, retry_after=33)
        told = await attempt(bench, fault)
        assert isinstance(told.error, RateLimited)
        assert told.error.retry_after == 33

    async def test_a_limit_of_a_proxy_has_no_envelope(self, bench: Bench) -> None:
        reply = Reply(429, b"<html>slow down</html>", {"retry-after": "12"})
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, RateLimited)
        assert (told.error.code, told.error.retry_after) == ("HTTP_429", 12)
        assert (told.sent, told.charged) == (1, 0)

    async def test_nobody_leaves_during_a_pause(self, bench: Bench) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.RATE_LIMITED, retry_after=30))
        with pytest.raises(RateLimited):
            await bench.sms.balance()
        sent = len(bench.meddler.seen)
        watching = asyncio.create_task(bench.sms.read("1", Priority.WATCH))
        for call in (bench.sms.balance(), bench.sms.offers(*bench.place), bench.sms.cancel("1")):
            with pytest.raises(NotSent):
                await call
        await asyncio.sleep(0.05)
        assert not watching.done()
        assert len(bench.meddler.seen) == sent
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    async def test_other_errors_pause_nobody(self, bench: Bench) -> None:
        for kind in (FaultKind.ERROR_BEFORE, FaultKind.HTML, FaultKind.BROKEN_JSON, FaultKind.RESET_BEFORE):
            await attempt(bench, Fault(kind=kind))
        assert bench.budget.pause_left == 0


NO: Mapping[str, Any] = {"success": False, "error": {"code": "PRODUCT_UNAVAILABLE", "message": "gone"}}


class TestRefusedWithoutEffect:
    """Answers of a server, or of a proxy before it, that did nothing."""

    @pytest.mark.parametrize(
        ("reply", "code"),
        [
            (Reply(413, b"<html>too large</html>"), "HTTP_413"),
            (Reply(404, b""), "HTTP_404"),
            (Reply(401, b"null"), "HTTP_401"),
            (Reply(400, b'{"success":false}'), "HTTP_400"),
            (Reply(422, b'{"success":false,"error":"bad"}'), "HTTP_422"),
            (Reply(422, b'{"success":false,"error":{"code":17}}'), "HTTP_422"),
            (Reply(422, b'{"success":false,"error":{"code":"","message":["x"]}}'), "HTTP_422"),
            (Reply(418, b'{"success":false,"error":{"code":"TEAPOT"}}'), "TEAPOT"),
            (Reply(418, b'{"error":{"code":"TEAPOT"}}'), "TEAPOT"),
            (Reply(418, b'{"success":false,"error":{"code":"\\ud800","message":"\\udfff"}}'), "?"),
        ],
        ids=lambda value: None if isinstance(value, Reply) else value,
    )
    async def test_a_no_is_a_no_with_or_without_words(self, bench: Bench, reply: Reply, code: str) -> None:
        told = await attempt(bench, instead=reply)
        assert type(told.error) is ApiError
        assert (told.error.code, told.error.status) == (code, reply.status)
        assert f"{told.error}{told.error.message}".encode()
        assert (told.sent, told.charged) == (1, 0)

    async def test_a_no_in_a_200(self, bench: Bench) -> None:
        reply = Reply(200, json.dumps(NO).encode())
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, ProductGone)
        assert told.error.message == "gone"

    async def test_details_are_kept(self, bench: Bench) -> None:
        error = {"code": "TEMP_BANNED", "message": "m" * 5000, "details": {"until": "tomorrow"}}
        reply = Reply(429, json.dumps({"success": False, "error": error}).encode(), {"x-request-id": "req_7"})
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, ApiError)
        assert told.error.details == {"until": "tomorrow"}
        assert told.error.request_id == "req_7"
        assert len(told.error.message) == 300

    @pytest.mark.parametrize("status", [201, 204, 301, 303, 304, 307, 400, 404, 409, 500, 502, 503, 520, 599])
    async def test_a_success_under_a_senseless_status_is_no_refusal(self, bench: Bench, status: int) -> None:
        """Whatever the status says, an answer of success may have cost money."""

        def as_status(reply: Reply) -> Reply:
            return Reply(status, b"" if status in (204, 304) else reply.body)

        told = await attempt(bench, spoil=as_status)
        assert told.charged == 1
        assert told.order is not None if status == 201 else isinstance(told.error, Unclear)


Data = dict[str, Any]


def altered(change: Callable[[Data], Any]) -> Callable[[Reply], Reply]:
    """A change of the `data` of an answer."""

    def spoil(reply: Reply) -> Reply:
        envelope = json.loads(reply.body)
        envelope["data"] = change(envelope["data"])
        return dataclasses.replace(reply, body=json.dumps(envelope).encode())

    return spoil


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Reply], Reply]:
    """A change of the bytes of an answer."""
    return lambda reply: dataclasses.replace(reply, body=change(reply.body))


class TestGuideAnswersAfterTheEffect:
    """A create of the `guide` contract that charged, and an answer that is not quite what was promised."""

    @pytest.fixture
    def contract(self) -> Contract:
        return "guide"

    @pytest.mark.parametrize(
        "change",
        [
            lambda data: None,
            lambda data: [data],
            lambda data: "ok",
            lambda data: {},
            lambda data: {name: value for name, value in data.items() if name != "order_id"},
            lambda data: data | {"order_id": None},
            lambda data: data | {"order_id": True},
            lambda data: data | {"order_id": ""},
            lambda data: data | {"order_id": "a b"},
            lambda data: data | {"order_id": "x" * 129},
            lambda data: data | {"order_id": {"id": "ord_1"}},
            lambda data: data | {"order_id": "\ud800"},
        ],
    )
    async def test_without_its_id_an_order_is_unclear(self, bench: Bench, change: Callable[[Data], Any]) -> None:
        told = await attempt(bench, spoil=altered(change))
        assert isinstance(told.error, Unclear)
        assert (told.sent, told.charged) == (1, 1)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"null",
            b"[]",
            b"true",
            b'"ok"',
            b"{",
            b"\x00\xff",
            b"[" * 100_000,
            b'{"success":"true"}',
            b'{"success":1,"data":{}}',
            b'{"data":{"order_id":"ord_1"}}',
        ],
        ids=lambda body: str(body[:12]),
    )
    async def test_without_its_envelope_it_is_unclear(self, bench: Bench, body: bytes) -> None:
        spoil = rewritten(lambda _: body)
        told = await attempt(bench, spoil=spoil)
        assert isinstance(told.error, Unclear)
        assert (told.sent, told.charged) == (1, 1)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"order_id": 4711}, {"remote_id": "4711"}),
            ({"phone_number": None}, {"phone_number": None}),
            ({"phone_number": 628123456789}, {"phone_number": "628123456789"}),
            ({"phone_number": ["+62"]}, {"phone_number": None}),
            ({"phone_number": "\ud83d"}, {"phone_number": "?"}),
            ({"phone_number": "9" * 5000}, {"phone_number": "9" * 1000}),
            ({"status": None}, {"status": None, "raw_status": "?"}),
            ({"status": 3}, {"status": None, "raw_status": "3"}),
            ({"status": "PAUSED"}, {"status": None, "raw_status": "PAUSED"}),
            ({"expires_at": "soon"}, {"expires_at": None}),
            ({"expires_at": ""}, {"expires_at": None}),
            ({"expires_at": 1773446400}, {"expires_at": None}),
            ({"expires_at": "2026-02-30T00:00:00Z"}, {"expires_at": None}),
            ({"expires_at": "0001-01-01T00:00:00Z"}, {"expires_at": None}),
            ({"expires_at": "0001-01-01T00:00:00+23:59"}, {"expires_at": None}),
            ({"expires_at": "9999-12-31T23:59:59-23:59"}, {"expires_at": None}),
            ({"otp_code": 847291}, {"code": "847291"}),
            ({"otp_code": ""}, {"code": None}),
            ({"price": 2**80, "nested": {"a": [1, {"b": None}]}}, {"status": RemoteStatus.WAITING}),
        ],
        ids=str,
    )
    async def test_with_its_id_it_is_kept(self, bench: Bench, fields: Data, expected: Data) -> None:
        told = await attempt(bench, spoil=altered(lambda data: data | fields))
        assert told.order is not None
        assert "order_id" in fields or bench.booked(told.order).price
        assert {name: getattr(told.order, name) for name in expected} == expected
        assert told.charged == 1

    @pytest.mark.parametrize(
        ("found", "put"),
        [
            (b'"WAITING"', b"9" * 5000),
            (b'"WAITING"', b"-" + b"9" * 5000),
            (b'"WAITING"', b"1e999"),
            (b'"WAITING"', b"NaN"),
            (b"WAITING", b"\xff\xfe"),
            (b"WAITING", b"\\ud800"),
            (b'{"success"', b'\xef\xbb\xbf{"success"'),
        ],
        ids=lambda value: str(value[:12]),
    )
    async def test_what_strict_readers_choke_on_loses_no_order(self, bench: Bench, found: bytes, put: bytes) -> None:
        spoil = rewritten(lambda body: body.replace(found, put))
        told = await attempt(bench, spoil=spoil)
        assert told.order is not None
        assert bench.booked(told.order).price
        assert told.order.raw_status.encode("utf-8")

    @pytest.mark.parametrize("text", ["2026-03-14T12:05:00Z", "2026-03-14T19:05:00+07:00", "2026-03-14T12:05:00"])
    async def test_a_date_is_in_utc(self, bench: Bench, text: str) -> None:
        told = await attempt(bench, spoil=altered(lambda data: data | {"expires_at": text}))
        assert told.order is not None
        assert told.order.expires_at is not None
        assert told.order.expires_at.isoformat() == "2026-03-14T12:05:00+00:00"


class TestAnswersMixedUp:
    """Somebody between the desk and SMSCode hands out the answer to another question."""

    async def test_an_answer_about_another_order_is_nobodys(self, bench: Bench) -> None:
        created = await bench.sms.create(bench.request(await bench.offer()))
        bench.world.arrive(created.remote_id, code="135790")
        bench.meddler.spoil = altered(lambda data: data | {"order_id": "ord_of_somebody_else", "id": 7})
        with pytest.raises(Unclear, match="another order"):
            await bench.sms.read(created.remote_id)
        bench.meddler.spoil = None
        assert (await bench.sms.read(created.remote_id)).code == "135790"


class TestEndlessAnswers:
    async def test_a_body_beyond_any_size_is_not_taken_in(self, bench: Bench) -> None:
        """Not even one that is small on the wire."""
        body = gzip.compress(b" " * (9 * 1024 * 1024))
        reply = Reply(200, body, {"content-encoding": "gzip"})
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, Unclear)
        assert "endless" in str(told.error)

    async def test_a_body_that_cannot_be_unpacked_is_unclear(self, bench: Bench) -> None:
        reply = Reply(200, b"not gzip at all", {"content-encoding": "gzip"})
        told = await attempt(bench, instead=reply)
        assert isinstance(told.error, Unclear)

    async def test_a_server_that_drips_is_given_up(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each byte comes in time for its own timeout, the whole never comes."""
        monkeypatch.setattr("bot.sms.wire._WHOLE_CALL", 0.3)
        gone = asyncio.Event()

        async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            try:
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            except ConnectionError:
                gone.set()
            finally:
                writer.close()

        async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with make_client(url, TOKEN) as client:
                client.timeout = httpx.Timeout(5.0)
                wire = Wire(client, bench.budget, bench.clock)
                with pytest.raises(Unclear):
                    await wire.send(Call("POST", "/v1/orders", body="{}"))
                await asyncio.wait_for(gone.wait(), 2)
