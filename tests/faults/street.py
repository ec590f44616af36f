"""The street between the desk and a server: a TCP proxy that delays, stammers, resets, goes deaf, and recovers."""

import asyncio
import contextlib
import random
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Traffic(StrEnum):
    """How the street is."""

    OPEN = "open"
    SLOW = "slow"
    """Every part of an answer is late, by a little more or less."""
    TRICKLE = "trickle"
    """Answers come in crumbs, and the connection closes late."""
    RESET = "reset"
    """Every connection is reset at once."""
    DEAF = "deaf"
    """Half open: connections are taken and nothing ever comes back."""


class Street:
    """A proxy before `target` whose traffic can be changed at any time; a change cuts what is under way."""

    def __init__(self, target: str, dice: random.Random) -> None:
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._dice = dice
        self._server: asyncio.Server | None = None
        self._travellers: set[asyncio.Task[None]] = set()
        self.traffic = Traffic.OPEN
        self.changes = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        await asyncio.gather(*self._travellers, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where the desk is to look for the server."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def become(self, traffic: Traffic) -> None:
        """Change the traffic; whoever is on the way is cut off if it gets worse."""
        if traffic is not self.traffic:
            self.changes += 1
            self.traffic = traffic
            self._cut()

    def _cut(self) -> None:
        for traveller in self._travellers:
            traveller.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._travellers.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._travellers.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.traffic is Traffic.RESET:
            return
        if self.traffic is Traffic.DEAF:
            while await reader.read(65_536):
                pass
            return
        there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        out = asyncio.create_task(_carry(reader, there_writer))
        try:
            while data := await there_reader.read(65_536):
                await self._answer(data, writer)
        finally:
            out.cancel()
            there_writer.transport.abort()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await out

    async def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self.traffic is Traffic.SLOW:
            await asyncio.sleep(self._dice.uniform(0.02, 0.3))
        step = 100 if self.traffic is Traffic.TRICKLE else len(data)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self.traffic is Traffic.TRICKLE:
                await asyncio.sleep(0.01)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
