"""The connection to Telegram: PTB's bot with our pools and time-outs, and what its errors mean for the desk."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
from telegram.constants import UpdateType
from telegram.error import (
    Conflict,
    EndPointNotFound,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)
from telegram.ext import Defaults, ExtBot
from telegram.request import HTTPXRequest

from bot.config import Telegram
from bot.domain.errors import BotTokenRejected, ChatError, ChatUnreachable, SecondBot, WebhookSet
from bot.sms.client import trusted

ALLOWED_UPDATES: Final = [UpdateType.MESSAGE, UpdateType.CALLBACK_QUERY, UpdateType.MY_CHAT_MEMBER]
LONG_POLL_SECONDS: Final = 25
_AT_ONCE: Final = 100
_CONNECTIONS: Final = 64
"""At once: a code must find one free even while a slow Telegram keeps many messages waiting."""

_KEPT_OPEN: Final = 16
"""Connections that stay open for the next message. At 25 messages a second and 200 ms each, five are in use; with every
request httpcore looks at each one that is open, several times over."""

_WEBHOOK_CONNECTIONS: Final = 40
"""How many updates Telegram may bring at once: a flood of strangers must not queue before a member."""


class DeskBot(ExtBot[None]):
    """PTB's bot, which can also hand out updates as they came, so that one it cannot parse is still one we have."""

    async def raw_updates(self, offset: int | None) -> Any:
        """What `getUpdates` answers, from `offset` on; asking for an offset confirms all before it."""
        return await self._post(
            "getUpdates",
            {
                "offset": offset,
                "limit": _AT_ONCE,
                "timeout": LONG_POLL_SECONDS,
                "allowed_updates": ALLOWED_UPDATES,
            },
            read_timeout=LONG_POLL_SECONDS + 10,
        )

    async def receive_at(self, url: str, secret: str) -> None:
        """Have updates brought to `url`, each with `secret` in its header; what waits comes along."""
        await self.set_webhook(
            url,
            secret_token=secret,
            allowed_updates=ALLOWED_UPDATES,
            max_connections=_WEBHOOK_CONNECTIONS,
            drop_pending_updates=False,
        )

    async def close_connections(self) -> None:
        """Close every connection; PTB's own `shutdown` leaves them open when Telegram was never reached."""
        await asyncio.gather(*(request.shutdown() for request in self._request))


Note = Callable[[str, int | None, float], None]
"""What is told of each call: the method, the HTTP status of the answer, None where none came, and the seconds."""


def _unnoted(method: str, status: int | None, seconds: float) -> None:
    del method, status, seconds


class _NotedRequest(HTTPXRequest):
    """PTB's transport, which tells of each call; the address itself holds the token and goes no further."""

    def __init__(self, note: Note, **options: Any) -> None:
        super().__init__(**options)
        self._note = note

    async def do_request(self, url: str, method: str, *details: Any, **more: Any) -> tuple[int, bytes]:
        """Send it, and note it."""
        started, status = time.monotonic(), None
        try:
            status, content = await super().do_request(url, method, *details, **more)
            return status, content
        finally:
            self._note(url.rpartition("/")[2], status, time.monotonic() - started)


def make_bot(config: Telegram, note: Note = _unnoted) -> DeskBot:
    """The bot for the server that the configuration names; nothing is sent yet."""
    # Else PTB warns about the type of the pause in each RetryAfter, and warnings are errors here.
    os.environ.setdefault("PTB_TIMEDELTA", "true")
    return DeskBot(
        config.secret,
        base_url=f"{config.base_url}/bot",
        base_file_url=f"{config.base_url}/file/bot",
        request=_request(note, connections=_CONNECTIONS),
        get_updates_request=_request(note, connections=8),
        defaults=Defaults(parse_mode="HTML"),
    )


def in_our_terms(error: TelegramError) -> ChatError:
    """What an error of `getUpdates` means for the desk."""
    if isinstance(error, Conflict):
        return (WebhookSet if "webhook is active" in error.message else SecondBot)(error.message)
    if isinstance(error, InvalidToken | EndPointNotFound):
        return BotTokenRejected("Telegram does not know the bot token")
    if isinstance(error, RetryAfter):
        wait = error.retry_after
        return ChatUnreachable("it asks to wait", float(wait if isinstance(wait, int) else wait.total_seconds()))
    return ChatUnreachable(type(error).__name__ if isinstance(error, NetworkError) else error.message)


def _request(note: Note, connections: int) -> HTTPXRequest:
    return _NotedRequest(
        note,
        connection_pool_size=connections,
        connect_timeout=5.0,
        read_timeout=10.0,
        write_timeout=10.0,
        pool_timeout=5.0,
        httpx_kwargs={
            "limits": httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=min(connections, _KEPT_OPEN),
                keepalive_expiry=30.0,
            ),
            "verify": trusted(),
        },
    )
