"""A running desk with its web server, as the tests of the web see it."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from bot.sms.client import trusted
from tests.scene import Scene, open_scene


def free_port() -> int:
    """A port of the loopback interface that nobody listens on.

    It lies below those that the system lends to connections: one of them could have it before anybody listens there.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.asynccontextmanager
async def open_web(folder: Path, **more: Any) -> AsyncIterator[tuple[Scene, httpx.AsyncClient]]:
    """A desk that serves its pages, and a client for them."""
    port = free_port()
    more["web"] = {"listen": f"127.0.0.1:{port}"}
    if more.get("telegram_mode") == "webhook":
        more["web"]["public_url"] = f"http://127.0.0.1:{port}"
    async with (
        open_scene(folder, **more) as scene,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=5.0, verify=trusted()
        ) as client,
    ):
        await answers(client)
        yield scene, client


async def answers(client: httpx.AsyncClient, path: str = "/healthz", status: int = 200) -> None:
    """Wait until a page answers as it should."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(httpx.ConnectError):
                if (await client.get(path)).status_code == status:
                    return
            await asyncio.sleep(0.02)
