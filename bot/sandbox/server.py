"""Serve a sandbox application on loopback, with the power to cut a connection the way networks do."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_LOOPBACK = "127.0.0.1"
_EXTENSION = "sandbox.connection"
# Longer than any client here keeps a connection for later, as the servers outside do it: whoever closes first while the
# other is about to write makes a request fail that nobody meant to fail.
_KEEP_ALIVE = 75


class PortTaken(Exception):
    """The asked port on loopback belongs to another program."""


def reset_connection(scope: Scope) -> None:
    """Drop the client's connection at once, with a TCP reset and without an answer.

    Raises:
        KeyError: the application is not served by `LoopbackServer`, so there is no connection to cut.
    """
    transport: asyncio.Transport = scope["extensions"][_EXTENSION]["transport"]
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        # SO_LINGER of zero makes close() send RST instead of FIN: the peer sees "connection reset". A peer that was
        # killed meanwhile has closed the socket already.
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def close_connection(scope: Scope) -> None:
    """Close the client's connection once everything sent so far is out, so that what was sent still arrives.

    Raises:
        KeyError: the application is not served by `LoopbackServer`, so there is no connection to close.
    """
    transport: asyncio.Transport = scope["extensions"][_EXTENSION]["transport"]
    transport.close()


class _CuttableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol that lets the application reach its own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner: Any = self.app

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[_EXTENSION] = {"transport": transport}
            # A request still waiting when the server stops is cancelled, and a client may be killed in the middle of
            # its request; neither is an error worth a traceback.
            with contextlib.suppress(asyncio.CancelledError, ClientDisconnect):
                await inner(scope, receive, send)

        self.app = application


class _Server(uvicorn.Server):
    """uvicorn that ends when it is told to: its own loops look up only every tenth of a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told_to_end = asyncio.Event()

    def end(self) -> None:
        """Let `serve` return soon, whatever the clients do."""
        self.should_exit = True
        self._told_to_end.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program that serves the sandbox."""
        yield

    async def main_loop(self) -> None:
        """Keep the Date header right, second by second, until told to end."""
        # A tick whose number divides by ten is the one that renews the header.
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_end.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in, break off what is being answered, and close every connection."""
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        waiting = list(self.server_state.tasks)
        for request in waiting:
            request.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Each of them is lost at the loop's next turn.
        await asyncio.sleep(0)


def _bind(port: int) -> socket.socket:
    # Named as TCP, or asyncio leaves Nagle on and each answer waits for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"port {port} on {_LOOPBACK} is taken") from error
    return listener


class LoopbackServer:
    """An ASGI application behind a real socket on 127.0.0.1, as an async context manager.

    Port 0 lets the system choose; `url` names the address once entered.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._app = app
        self._port = port
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        listener = _bind(self._port)
        self._port = listener.getsockname()[1]
        self.url = f"http://{_LOOPBACK}:{self._port}"
        config = uvicorn.Config(
            self._app,
            http=_CuttableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="sandbox-server")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is None or self._task is None:
            return
        self._server.end()
        await self._task
