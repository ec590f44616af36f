"""A Telegram Bot API on loopback, strict enough for a real client, with a page to chat on.

`TelegramWorld` is what there is, `bot_app` serves it. `Fault` and `RandomFaults` say what goes wrong.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.sandbox.bot_page import LoopbackOnly, page_routes
from bot.sandbox.bot_requests import read_params
from bot.sandbox.bot_webhook import WebhookCourier
from bot.sandbox.server import reset_connection
from bot.sandbox.telegram_errors import ApiError, too_many_requests
from bot.sandbox.telegram_faults import Fault, FaultKind, FiredFault, RandomFaults
from bot.sandbox.telegram_methods import perform, remember_allowed
from bot.sandbox.telegram_params import Params
from bot.sandbox.telegram_people import PersonError
from bot.sandbox.telegram_state import ApiCall, CallbackAnswer, CallbackQuery, Chat, Message, User
from bot.sandbox.telegram_world import ADA, DEFAULT_TOKEN, OMAR, SAM, TEAM_CHAT, TelegramWorld, demo_cast

__all__ = [
    "ADA",
    "DEFAULT_TOKEN",
    "OMAR",
    "SAM",
    "TEAM_CHAT",
    "ApiCall",
    "CallbackAnswer",
    "CallbackQuery",
    "Chat",
    "Fault",
    "FaultKind",
    "FiredFault",
    "Message",
    "PersonError",
    "RandomFaults",
    "TelegramWorld",
    "User",
    "bot_app",
    "demo_cast",
]

_WELL_FORMED_TOKEN = re.compile(r"[1-9]\d{0,19}:[A-Za-z0-9_-]{20,64}")
_LONGEST_POLL = 50
_GATEWAY_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_WEBHOOK_ACTIVE = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
_CUT_OFF = object()
"""The result of a poll that Telegram went down under."""
_OTHER_POLL = "terminated by other getUpdates request; make sure that only one bot instance is running"


class _ConnectionReset(Response):
    """No answer: the connection is reset, once so many bytes of the body are out."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__(body, media_type="application/json")
        self._out = len(body) // 2

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._out:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": bytes(self.body)[: self._out], "more_body": True})
            # A reset at once would take the bytes back that the client has not read yet.
            await asyncio.sleep(0.05)
        reset_connection(scope)
        # The server has to notice the loss before this returns, or it would report a missing answer.
        await asyncio.sleep(0.01)


class _NoAnswer(Response):
    """Nothing at all, for a client that has already hung up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say nothing."""


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _until_client_leaves(request: Request, work: Awaitable[Any]) -> Any:
    """The result of the work, or None when the client hung up first; then the work is cancelled."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_client_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class _BotApi:
    """The HTTP side: tokens, faults, long polls and the log of calls."""

    def __init__(self, world: TelegramWorld, *, webhook_retry_seconds: float) -> None:
        self._world = world
        self._courier = WebhookCourier(world, retry_seconds=webhook_retry_seconds)

    async def serve(self, request: Request) -> Response:
        """Answer one call."""
        if self._world.down:
            return _ConnectionReset()
        method = request.path_params["method"]
        try:
            self._check_token(request.path_params["token"])
            params = await read_params(request)
        except ApiError as error:
            return _refusal(error)
        if self._world.distance and method.lower() != "getupdates":
            await asyncio.sleep(self._world.distance)
        call = ApiCall(method, params.loggable(), _chat_id(params), self._world.now())
        self._world.calls.append(call)
        try:
            return await self._answer(request, call, params)
        finally:
            call.finished_at = self._world.now()
            self._world.changed.beat()

    async def file(self, request: Request) -> Response:
        """Serve an uploaded file under the path getFile names."""
        try:
            self._check_token(request.path_params["token"])
        except ApiError as error:
            return _refusal(error)
        name_and_content = self._world.files.get(request.path_params["file_id"])
        if name_and_content is None:
            return _refusal(ApiError(404))
        return Response(name_and_content[1], media_type="application/octet-stream")

    def _check_token(self, token: str) -> None:
        if token != self._world.token:
            raise ApiError(401 if _WELL_FORMED_TOKEN.fullmatch(token) else 404)

    async def _answer(self, request: Request, call: ApiCall, params: Params) -> Response:
        fault = self._world.plan.draw(call.method, call.chat_id, call.at)
        if fault is None:
            return await self._carry_out(request, call, params)
        kind = FaultKind(fault.kind)
        call.fault = call.outcome = kind.value
        if kind in _BEFORE:
            return await _BEFORE[kind](request, fault)
        if kind is FaultKind.LATE:
            await asyncio.sleep(fault.seconds)
        response = await self._carry_out(request, call, params)
        return response if kind is FaultKind.LATE else await _AFTER[kind](request, response)

    async def _carry_out(self, request: Request, call: ApiCall, params: Params) -> Response:
        try:
            result = await self._result(request, call, params)
        except ApiError as error:
            call.outcome = f"{error.code} {error.description}"
            return _refusal(error)
        call.outcome = "ok"
        if result is _CUT_OFF:
            return _ConnectionReset()
        self._courier.wake()
        return JSONResponse({"ok": True, "result": result})

    async def _result(self, request: Request, call: ApiCall, params: Params) -> Any:
        if self._world.flood_gate is not None:
            self._world.flood_gate.check(call.method, call.chat_id, self._world.now())
        if call.method.lower() != "getupdates":
            return perform(self._world, call.method, params)
        if self._world.webhook["url"]:
            raise ApiError(409, _WEBHOOK_ACTIVE)
        remember_allowed(self._world, params)
        poll = self._world.updates.poll(
            offset=params.integer("offset"),
            limit=params.integer("limit", 100),
            timeout_seconds=min(max(params.integer("timeout"), 0), _LONGEST_POLL),
        )
        found = await _until_client_leaves(request, poll) or []
        # What is held back is not confirmed, so it comes with the first poll once Telegram is back.
        return _CUT_OFF if self._world.down else found


def _chat_id(params: Params) -> int | None:
    return params.optional_integer("chat_id") or None


def _refusal(error: ApiError) -> Response:
    headers = {"Retry-After": str(error.parameters["retry_after"])} if error.code == 429 else None
    return JSONResponse(error.as_json(), status_code=error.code, headers=headers)


async def _reset(_request: Request, _: object) -> Response:
    return _ConnectionReset()


async def _silence(request: Request, _: object) -> Response:
    await _client_left(request)
    return _NoAnswer()


async def _gateway(_request: Request, _: object) -> Response:
    return HTMLResponse(_GATEWAY_PAGE, status_code=502)


async def _rate_limited(_request: Request, fault: Fault) -> Response:
    return _refusal(too_many_requests(fault.retry_after))


async def _forbidden(_request: Request, _fault: Fault) -> Response:
    return _refusal(ApiError(403, "bot was blocked by the user"))


async def _conflict(_request: Request, _fault: Fault) -> Response:
    return _refusal(ApiError(409, _OTHER_POLL))


async def _unauthorized(_request: Request, _fault: Fault) -> Response:
    return _refusal(ApiError(401))


async def _broken_json(_request: Request, response: Response) -> Response:
    return Response(b"\x00<" + bytes(response.body), media_type="application/json")


async def _truncated(_request: Request, response: Response) -> Response:
    return _ConnectionReset(bytes(response.body))


_BEFORE: dict[FaultKind, Callable[[Request, Fault], Awaitable[Response]]] = {
    FaultKind.RESET_BEFORE: _reset,
    FaultKind.SILENCE: _silence,
    FaultKind.ERROR: _gateway,
    FaultKind.RATE_LIMITED: _rate_limited,
    FaultKind.FORBIDDEN: _forbidden,
    FaultKind.CONFLICT: _conflict,
    FaultKind.UNAUTHORIZED: _unauthorized,
}
_AFTER: dict[FaultKind, Callable[[Request, Response], Awaitable[Response]]] = {
    FaultKind.RESET_AFTER: _reset,
    FaultKind.DELIVER_THEN_DROP: _reset,
    FaultKind.SILENCE_AFTER: _silence,
    FaultKind.ERROR_AFTER: _gateway,
    FaultKind.BROKEN_JSON: _broken_json,
    FaultKind.TRUNCATED: _truncated,
}


def bot_app(
    world: TelegramWorld,
    *,
    webhook_retry_seconds: float = 0.5,
    outside: ASGIApp | None = None,
    backstage: ASGIApp | None = None,
) -> Starlette:
    """The Bot API of a world under `/bot{token}/{method}`, its files, and the chat page under `/`.

    `outside` is the control plane of the SMSCode beside it, if there is one: it is served under `/world`, where the
    page's panel looks. `backstage` has the switches of a demo, served under `/backstage`.
    """
    api = _BotApi(world, webhook_retry_seconds=webhook_retry_seconds)
    return Starlette(
        routes=[
            Route("/bot{token}/{method}", api.serve, methods=["GET", "POST"]),
            Route("/file/bot{token}/documents/{file_id}/{name}", api.file),
            *page_routes(world, has_outside=outside is not None),
            *([Mount("/world", outside)] if outside is not None else []),
            *([Mount("/backstage", backstage)] if backstage is not None else []),
        ],
        middleware=[Middleware(LoopbackOnly)],
    )
