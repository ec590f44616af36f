"""The routes: how the desk is, what it has counted, and the door for SMSCode's events.

An event is only a hint: it names an order to look at now, and nothing in it is believed or kept.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping
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

_SLOWEST_EVENT: Final = 10.0
"""Seconds for a whole event to arrive."""

_SLOWEST_LOOK: Final = 2.0
_LARGEST_ID: Final = 2**63
_EVENTS: Final = frozenset({"order.otp_received", "order.completed", "order.expired", "order.canceled"})
_TEST: Final = "webhook.test"

_TAKEN: Final = Response(status_code=HTTPStatus.NO_CONTENT)
"""Also for a signed event that makes no sense: a refusal would be sent again, and ten of them end all delivery."""


def web_app(desk: Desk) -> Starlette:
    """The HTTP application over a running desk."""
    site = _Site(desk)
    return Starlette(
        routes=[
            Route("/healthz", site.health, methods=["GET"]),
            Route("/readyz", site.ready, methods=["GET"]),
            Route("/metrics", site.metrics, methods=["GET"]),
            Route(PATH, site.take_event, methods=["POST"]),
        ]
    )


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
            return Response(status_code=HTTPStatus.REQUEST_TIMEOUT)
        if body is None:
            return Response(status_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not is_signed(body, request.headers.getlist(HEADER), self._secret):
            log.warning("an event without a valid signature was refused")
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
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


def _look(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM settings").fetchone()


async def _whole_body(request: Request) -> bytes | None:
    """The bytes as they came; None as soon as they are too many, whatever `Content-Length` says."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_EVENT:
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
