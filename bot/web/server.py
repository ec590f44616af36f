"""Serving the routes within the desk's own process, until the desk stops."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from bot.config import Address
from bot.services.desk import Desk
from bot.web.app import Door, web_app

log = logging.getLogger(__name__)

_MOST_REQUESTS: Final = 64
"""Requests at once; beyond that they are told to come again."""

_TRY_AGAIN: Final = 30.0
_HOUR: Final = 3_600_000


class Website:
    """Listens where `web.listen` says. A port that is taken stops nothing else: it is told, and tried again."""

    def __init__(self, desk: Desk, address: Address, door: Door | None = None) -> None:
        self._desk = desk
        self._door = door
        self._address = address

    async def run(self) -> None:
        """Serve for ever; when asked to stop, let the requests under way come to their end."""
        while True:
            try:
                listener = _listen(self._address)
            except OSError as error:
                await self._tell(error)
                await self._desk.clock.sleep(_TRY_AGAIN)
                continue
            log.info("listening on %s", self._address)
            await self._serve(listener)

    async def _serve(self, listener: socket.socket) -> None:
        server = _Server(
            uvicorn.Config(
                web_app(self._desk, self._door),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_MOST_REQUESTS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=3,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            listener.close()

    async def _tell(self, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        log.error("cannot listen on %s: %s", self._address, reason)
        key = f"web:{self._desk.now // _HOUR}"
        await self._desk.transact(
            lambda connection: self._desk.alert(connection, key, what="web", address=str(self._address), reason=reason)
        )


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to the desk."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)
