"""The wire in front of the simulated SMSCode: counts requests, reads them whole, and lets faults strike."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import takewhile

from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.sandbox.server import close_connection, reset_connection
from bot.sandbox.sms_books import Sms
from bot.sandbox.sms_dialect import Dialect
from bot.sandbox.sms_errors import ErrorCode
from bot.sandbox.sms_faults import Fault, FaultEvent, FaultKind
from bot.sandbox.sms_wire import HELD, SHOWN
from bot.sandbox.sms_world import SmsWorld

MAX_BODY_BYTES = 64 * 1024
UNMATCHED = "(unmatched)"
_BAD_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response held back until it is decided what becomes of it. Header names are in lower case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> "Answer":
        """Take over a response whose body is complete; one that streams has none yet."""
        return cls(response.status_code, tuple(response.raw_headers), bytes(response.body))

    def labelled(self, **changed: str) -> "Answer":
        """Return the answer with headers set anew; an underscore in a name stands for a hyphen."""
        new = {name.replace("_", "-").encode(): value.encode("latin-1") for name, value in changed.items()}
        kept = tuple(header for header in self.headers if header[0] not in new)
        return replace(self, headers=kept + tuple(new.items()))


class Exchange:
    """One request that has arrived whole, and what can be done with it, in the words of `dialect`.

    `held` are the requests that arrived before it and whose effect or answer a fault still holds back.
    """

    def __init__(
        self,
        world: SmsWorld,
        dialect: Dialect,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        body: bytes,
        held: Sequence["Exchange"] = (),
    ) -> None:
        self.dialect = dialect
        self.scope = scope
        self._held = held
        self._world = world
        self._app = app
        self._receive = receive
        self._send = send
        self._body = body
        self._shown: list[Sms] = []

    def _still_held(self) -> list[Scope]:
        """The requests before this one that are held back, itself and what came after it left out."""
        return [exchange.scope for exchange in takewhile(lambda other: other is not self, self._held)]

    async def effect(self) -> Answer:
        """Let the request do its work and hold its answer back."""
        unread = [{"type": "http.request", "body": self._body, "more_body": False}]
        start: Message = {}
        body = bytearray()

        async def receive() -> Message:
            return unread.pop() if unread else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app({**self.scope, SHOWN: self._shown, HELD: self._still_held()}, receive, send)
        return Answer(start["status"], tuple(start["headers"]), bytes(body))

    async def trouble(self, fault: Fault, status: int, code: ErrorCode) -> None:
        """Send the answer of a server in trouble, with the status and the Retry-After of `fault` where it has them."""
        answer = self.dialect.refuse(
            code, "The service is in trouble.", status=fault.status or status, retry_after=fault.retry_after
        )
        await self.deliver_unsound(Answer.of(answer))

    async def deliver(self, answer: Answer) -> None:
        """Send a sound answer and record the codes in it as shown, unless the client has gone."""
        if await self._client_has_gone():
            return
        for sms in self._shown:
            if sms.shown_at is None:
                sms.shown_at = self._world.now()
        await self.deliver_unsound(answer)

    async def deliver_unsound(self, answer: Answer) -> None:
        """Send an answer that shows no code, because there is none in it or no client should accept it."""
        await self._begin(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def deliver_part(self, answer: Answer) -> None:
        """Send half of a body, then close the connection in good order."""
        await self._begin(answer)
        half = answer.body[: len(answer.body) // 2]
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        # Unlike a reset, a close lets the half arrive before the end of the stream.
        close_connection(self.scope)
        await self.silence()

    async def reset(self) -> None:
        """Cut the connection without an answer."""
        reset_connection(self.scope)
        await self.silence()

    async def silence(self) -> None:
        """Say nothing until the client gives up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _begin(self, answer: Answer) -> None:
        self._world.books.answers[answer.status] += 1
        request_id = (b"x-request-id", self._world.next_request_id().encode())
        headers = [*answer.headers, request_id]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _client_has_gone(self) -> bool:
        # A connection that still stands has nothing to say, so only a word already said counts: no waiting.
        word = asyncio.ensure_future(self._receive())
        said, _ = await asyncio.wait({word}, timeout=0)
        word.cancel()
        return bool(said) and word.result()["type"] == "http.disconnect"


Effect = Callable[[], Awaitable[Answer]]
Play = Callable[[Exchange, Fault, Effect], Awaitable[None]]


async def _late(exchange: Exchange, fault: Fault, effect: Effect) -> None:
    answer = await effect()
    await asyncio.sleep(fault.seconds)
    await exchange.deliver(answer)


async def _slow(exchange: Exchange, fault: Fault, effect: Effect) -> None:
    await asyncio.sleep(fault.seconds)
    await exchange.deliver(await effect())


async def _reset_before(exchange: Exchange, _fault: Fault, _effect: Effect) -> None:
    await exchange.reset()


async def _reset_after(exchange: Exchange, _fault: Fault, effect: Effect) -> None:
    await effect()
    await exchange.reset()


async def _truncated(exchange: Exchange, _fault: Fault, effect: Effect) -> None:
    await exchange.deliver_part(await effect())


async def _silence(exchange: Exchange, _fault: Fault, _effect: Effect) -> None:
    await exchange.silence()


async def _silence_after(exchange: Exchange, _fault: Fault, effect: Effect) -> None:
    await effect()
    await exchange.silence()


async def _error_before(exchange: Exchange, fault: Fault, _effect: Effect) -> None:
    await exchange.trouble(fault, 500, ErrorCode.INTERNAL_ERROR)


async def _error_after(exchange: Exchange, fault: Fault, effect: Effect) -> None:
    await effect()
    await exchange.trouble(fault, 500, ErrorCode.INTERNAL_ERROR)


async def _rate_limited(exchange: Exchange, fault: Fault, _effect: Effect) -> None:
    await exchange.trouble(fault, 429, ErrorCode.RATE_LIMITED)


async def _unavailable(exchange: Exchange, fault: Fault, _effect: Effect) -> None:
    await exchange.trouble(fault, 503, ErrorCode.SERVICE_UNAVAILABLE)


async def _html(exchange: Exchange, fault: Fault, effect: Effect) -> None:
    if fault.effect:
        await effect()
    await exchange.deliver_unsound(Answer.of(HTMLResponse(_BAD_GATEWAY_PAGE, fault.status or 502)))


async def _wrong_type(exchange: Exchange, _fault: Fault, effect: Effect) -> None:
    answer = await effect()
    await exchange.deliver_unsound(answer.labelled(content_type="text/html; charset=utf-8"))


async def _broken_json(exchange: Exchange, _fault: Fault, effect: Effect) -> None:
    answer = await effect()
    half = answer.body[: len(answer.body) // 2]
    broken = replace(answer, status=200, body=half).labelled(content_length=str(len(half)))
    await exchange.deliver_unsound(broken)


_PLAYS: Mapping[FaultKind, Play] = {
    FaultKind.LATE: _late,
    FaultKind.SLOW: _slow,
    FaultKind.RESET_BEFORE: _reset_before,
    FaultKind.RESET_AFTER: _reset_after,
    FaultKind.TRUNCATED: _truncated,
    FaultKind.SILENCE: _silence,
    FaultKind.SILENCE_AFTER: _silence_after,
    FaultKind.ERROR_BEFORE: _error_before,
    FaultKind.ERROR_AFTER: _error_after,
    FaultKind.RATE_LIMITED: _rate_limited,
    FaultKind.UNAVAILABLE: _unavailable,
    FaultKind.HTML: _html,
    FaultKind.WRONG_TYPE: _wrong_type,
    FaultKind.BROKEN_JSON: _broken_json,
}


_HOLDING = frozenset({FaultKind.LATE, FaultKind.SLOW})


class Gateway:
    """ASGI middleware before the routes of a face; whatever has no fault passes through unchanged.

    A request that does not arrive whole has no effect. Faults that cut a connection need `LoopbackServer`.
    """

    def __init__(self, app: ASGIApp, world: SmsWorld, routes: Sequence[BaseRoute], dialect: Dialect) -> None:
        self._app = app
        self._world = world
        self._routes = routes
        self._dialect = dialect
        self._held: list[Exchange] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        template = self._template(scope)
        self._world.note_request(scope["method"], template)
        if self._world.distance:
            await asyncio.sleep(self._world.distance)
        if self._world.down:
            await Exchange(self._world, self._dialect, self._app, scope, receive, send, b"").reset()
            return
        body = await _read_whole(receive)
        if body is not None:
            exchange = Exchange(self._world, self._dialect, self._app, scope, receive, send, body, self._held)
            await self._serve(exchange, f"{scope['method']} {template}", len(body))

    async def _serve(self, exchange: Exchange, route: str, size: int) -> None:
        if size > MAX_BODY_BYTES:
            message = f"A body has at most {MAX_BODY_BYTES} bytes."
            await exchange.deliver(Answer.of(self._dialect.refuse(ErrorCode.PAYLOAD_TOO_LARGE, message)))
            return
        event = self._world.faults.strike(route, self._world.now())
        if event is None:
            await exchange.deliver(await exchange.effect())
            return
        with self._holding(exchange, event.fault):
            await _PLAYS[event.fault.kind](exchange, event.fault, _recorded(exchange, event))

    @contextmanager
    def _holding(self, exchange: Exchange, fault: Fault) -> Iterator[None]:
        """Let later requests know of one that a fault holds back, for as long as it does."""
        if fault.kind not in _HOLDING:
            yield
            return
        self._held.append(exchange)
        try:
            yield
        finally:
            self._held.remove(exchange)

    def _template(self, scope: Scope) -> str:
        """Name the route of a request; one with a wrong method counts for its path."""
        return next(
            (
                route.path
                for route in self._routes
                if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
            ),
            UNMATCHED,
        )


def _recorded(exchange: Exchange, event: FaultEvent) -> Effect:
    async def effect() -> Answer:
        answer = await exchange.effect()
        event.effect_status = answer.status
        return answer

    return effect


async def _read_whole(receive: Receive) -> bytes | None:
    """Read a body to its end; None where the client left before. One over the limit is cut just above it."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        # The rest of a body that is too large is still read, so that the client is there for the refusal.
        room = MAX_BODY_BYTES + 1 - len(body)
        body += message.get("body", b"")[:room]
        if not message.get("more_body", False):
            return bytes(body)
