"""Clients of servers on loopback, made without reading the system's certificates: that takes longer than most tests."""

import ssl
from typing import Any, Final

import httpx
from telegram import Bot
from telegram.request import HTTPXRequest

_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loopback is spoken to in plain HTTP; over TLS no server would be believed."""


def http_client(base_url: str = "", **options: Any) -> httpx.AsyncClient:
    """A client that goes straight to the server, whatever proxy the environment names."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=_TRUSTS_NOBODY, **options)


def real_bot(token: str, url: str) -> Bot:
    """python-telegram-bot's own client of a Bot API at `url`, with the sizes of its connection pools as it has them."""

    def request(pool_size: int) -> HTTPXRequest:
        return HTTPXRequest(pool_size, httpx_kwargs={"verify": _TRUSTS_NOBODY})

    return Bot(
        token,
        base_url=f"{url}/bot",
        base_file_url=f"{url}/file/bot",
        request=request(256),
        get_updates_request=request(1),
    )
