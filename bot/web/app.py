"""The routes: how the desk is, what it has counted, and the doors for SMSCode's events and Telegram's updates.

An event is only a hint: it names an order to look at now, and nothing in it is believed or kept.
"""

import asyncio
import hmac
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.metrics import CONTENT_TYPE
from bot.services import figures, readiness
from bot.services.desk import Desk
from bot.services.webhooks import PATH
from bot.web.signatures import HEADER, is_signed

log = logging.getLogger(__name__)

LARGEST_EVENT: Final = 64 * 1024
"""Bytes; an event of SMSCode has about one kilobyte."""

LARGEST_UPDATE: Final = 1024 * 1024
UPDATES: Final = "/telegram/webhook"
SECRET_HEADER: Final = "x-telegram-bot-api-secret-token"  # noqa: S105 (the name of a header)

_SLOWEST_EVENT: Final = 10.0
"""Seconds for a whole event or update to arrive."""

_SLOWEST_LOOK: Final = 2.0
_LARGEST_ID: Final = 2**63
_EVENTS: Final = frozenset({"order.otp_received", "order.completed", "order.expired", "order.canceled"})
_TEST: Final = "webhook.test"

_TAKEN: Final = Response(status_code=HTTPStatus.NO_CONTENT)
"""Also for a signed event that makes no sense: a refusal would be sent again, and ten of them end all delivery."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where Telegram brings updates: the secret that each must carry, and what puts it into the inbox."""

    secret: str = field(repr=False)
    keep: Callable[[Sequence[Mapping[str, Any]]], Awaitable[None]]


def web_app(desk: Desk, door: Door | None = None) -> Starlette:
    """The HTTP application over a running desk; `door` is there when Telegram brings updates."""
    site = _Site(desk)
    brought = [] if door is None else [Route(UPDATES, _Updates(door).take, methods=["POST"])]
    return Starlette(
        routes=[
            *brought,
            Route("/healthz", site.health, methods=["GET"]),
            Route("/readyz", site.ready, methods=["GET"]),
            Route("/metrics", site.metrics, methods=["GET"]),
            Route(PATH, site.take_event, methods=["POST"]),
        ]
    )


def _refused(status: HTTPStatus) -> Response:
    """Turn somebody away and hang up: whatever they are still sending is not read."""
    return Response(status_code=status, headers={"connection": "close"})


class _Site:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._secret = desk.settings.smscode.signing_secret

    async def health(self, _request: Request) -> Response:
        """200 while the database can be read; it says no more than that to anybody."""
        try:
            async with asyncio.timeout(_SLOWEST_LOOK):
                await self._desk.database.read(_look)
        except (sqlite3.Error, TimeoutError):
            return JSONResponse({"status": "unwell"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """200 while the loops turn, both servers answer and the database can be written; else what is missing."""
        missing = readiness.missing(self._desk)
        if missing:
            return JSONResponse({"status": "not ready", "missing": missing}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"status": "ready"})

    async def metrics(self, _request: Request) -> Response:
        """Everything that is counted, for Prometheus; 503 while the database cannot be read."""
        missing = readiness.missing(self._desk)
        self._desk.metrics.show("ready", "1 while /readyz says so", not missing)
        try:
            async with asyncio.timeout(_SLOWEST_LOOK):
                page = await figures.take(self._desk)
        except (sqlite3.Error, TimeoutError):
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(page, media_type=CONTENT_TYPE)

    async def take_event(self, request: Request) -> Response:
        """Take a signed event and wake the watcher for its order."""
        if not self._secret:
            log.error("an event was refused: smscode.webhook_secret is not set")
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            async with asyncio.timeout(_SLOWEST_EVENT):
                body = await _whole_body(request)
        except (TimeoutError, ClientDisconnect):
            return _refused(HTTPStatus.REQUEST_TIMEOUT)
        if body is None:
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not is_signed(body, request.headers.getlist(HEADER), self._secret):
            log.warning("an event without a valid signature was refused")
            return _refused(HTTPStatus.UNAUTHORIZED)
        self._heed(_object(body))
        return _TAKEN

    def _heed(self, event: Mapping[str, Any]) -> None:
        name = event.get("event")
        if name == _TEST:
            log.info("a test event has arrived")
            return
        remote_id = _order_id(event)
        if name not in _EVENTS or remote_id is None:
            log.warning("an event that says nothing to us was taken and passed over")
            return
        log.info("SMSCode speaks of its order %s", remote_id)
        self._desk.hints.add(remote_id)
        self._desk.signals.watch.set()


class _Updates:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._secret = door.secret.encode()

    async def take(self, request: Request) -> Response:
        """Put an update of Telegram into the inbox; it is confirmed only once it is on disk.

        Whoever does not know the secret is turned away before a byte of the body is read.
        """
        given = request.headers.getlist(SECRET_HEADER)
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1"), self._secret):
            log.warning("an update without the right secret was refused")
            return _refused(HTTPStatus.UNAUTHORIZED)
        try:
            async with asyncio.timeout(_SLOWEST_EVENT):
                body = await _whole_body(request, LARGEST_UPDATE)
        except (TimeoutError, ClientDisconnect):
            return _refused(HTTPStatus.REQUEST_TIMEOUT)
        if body is None:
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        update = _object(body)
        if not update:
            # A refusal would be sent again and again, and nothing behind it would come.
            log.warning("an update that cannot be read was taken and passed over")
            return Response(status_code=HTTPStatus.OK)
        try:
            await self._door.keep([update])
        except sqlite3.Error:
            log.exception("an update could not be kept; Telegram brings it again")
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)
        return Response(status_code=HTTPStatus.OK)


def _look(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM settings").fetchone()


async def _whole_body(request: Request, largest: int = LARGEST_EVENT) -> bytes | None:
    """The bytes as they came; None as soon as they are too many, whatever `Content-Length` says."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > largest:
            return None
    return bytes(body)


def _object(body: bytes) -> Mapping[str, Any]:
    """The JSON object that the body is, empty if it is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _order_id(event: Mapping[str, Any]) -> str | None:
    data = event.get("data")
    number = data.get("order_id") if isinstance(data, dict) else None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < _LARGEST_ID:
        return None
    return str(number)
