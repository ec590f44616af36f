"""The loopback server under both sandboxes: what it does with a connection between two requests."""

import asyncio

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot.sandbox.server import LoopbackServer
from tests.sandbox.clients import http_client

_LONGER_THAN_UVICORN_WAITS = 5.5


async def test_a_connection_rests_until_its_client_has_done_with_it() -> None:
    """The desk keeps connections for up to 30 s; one that is closed under it at that moment would lose a request."""

    async def whence(request: Request) -> PlainTextResponse:
        assert request.client is not None
        return PlainTextResponse(str(request.client.port))

    app = Starlette(routes=[Route("/", whence)])
    patient = httpx.Limits(keepalive_expiry=30)
    async with LoopbackServer(app) as server, http_client(server.url, limits=patient) as client:
        first = (await client.get("/")).text
        await asyncio.sleep(_LONGER_THAN_UVICORN_WAITS)
        assert (await client.get("/")).text == first
