"""Somebody who takes events: a real HTTP server that keeps what it is sent and answers as a test wants it to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from smscode.webhook import parse_webhook_event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.server import LoopbackServer

PATIENCE: Final = 15.0
"""Seconds in which everything that comes has come, on a machine that has other work as well."""


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    body: bytes
    signature: str
    content_type: str

    @property
    def event(self) -> str:
        """The name of the event."""
        return str(parse_webhook_event(self.body)["event"])

    @property
    def timestamp(self) -> str:
        """When it happened, as the event says it."""
        return str(parse_webhook_event(self.body)["timestamp"])

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        return dict(parse_webhook_event(self.body)["data"])


class Receiver:
    """A server on loopback, as an async context manager. `answers` gives the status for each request in turn."""

    def __init__(self) -> None:
        self.got: list[Received] = []
        self.answers: Callable[[int], int] = lambda _turn: 204
        self._came = asyncio.Condition()
        self._server = LoopbackServer(Starlette(routes=[Route("/events", self._take, methods=["POST"])]))
        self.url = ""

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.url = f"{self._server.url}/events"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def until(self, number: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.got) >= number)

    async def _take(self, request: Request) -> Response:
        headers = request.headers
        body = await request.body()
        self.got.append(Received(body, headers.get("x-webhook-signature", ""), headers.get("content-type", "")))
        async with self._came:
            self._came.notify_all()
        return Response(status_code=self.answers(len(self.got)))
