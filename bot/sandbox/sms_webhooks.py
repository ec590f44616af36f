"""Events of the official contract: signed, sent over real HTTP, tried again, and switched off after many failures."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import ssl
from collections import deque
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.sms_books import Order, Sms
from bot.sandbox.sms_deliveries import Mischief, WebhookConfig
from bot.sandbox.sms_dice import Dice
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_orders import OrderRows
from bot.sandbox.sms_time import iso_text
from bot.sandbox.sms_wire import Body, body_of, enter, enter_bare, query_of, success
from bot.sandbox.sms_world import SmsWorld

SIGNATURE: Final = "X-Webhook-Signature"
TEST_MESSAGE: Final = "This is a test webhook event from SMSCode."
NO_ANSWER: Final = 0

_TICK: Final = 0.02
"""Real seconds between two looks for what is due: time moves nothing by itself in the world."""

_PATIENCE: Final = 5.0
_LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Plain HTTP needs no certificates, and reading the system's takes longer than many deliveries."""


@dataclass(frozen=True, slots=True)
class _Event:
    """An event as it was when it happened, and what was to go wrong with it then. `sms` is whose code it carries."""

    name: str
    data: dict[str, object]
    at: float
    mischief: Mischief
    sms: Sms | None = None


class WebhookSender:
    """Sends what happens in a world, as an async context manager: events leave only while it is entered.

    Deliveries run side by side. `retries` are the real seconds before each repeat of one without a 2xx. Where they go
    and what goes wrong is part of the world, so that the API and the control plane can set it.
    """

    def __init__(self, world: SmsWorld, retries: tuple[float, ...] = (0.2, 0.5, 1.0)) -> None:
        self._world = world
        self._retries = retries
        self._rows = OrderRows(world)
        self._happened: deque[_Event] = deque()
        self._kept_back: _Event | None = None
        self._deliveries: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def config(self) -> WebhookConfig:
        """Where the events go."""
        return self._world.webhook

    @property
    def mischief(self) -> Mischief:
        """What goes wrong on the way."""
        return self._world.mischief

    @mischief.setter
    def mischief(self, mischief: Mischief) -> None:
        self._world.mischief = mischief

    async def __aenter__(self) -> Self:
        self._world.listeners.append(self._note)
        self._watch = asyncio.create_task(self._keep_watch(), name="sandbox-webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._world.listeners.remove(self._note)
        tasks = [task for task in (self._watch, *self._deliveries) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def change(self, url: str | None, secret: str | None) -> None:
        """Send elsewhere, or sign otherwise; a first address without a secret gets one."""
        self.config.change(url, secret)
        if url and secret is None and not self.config.secret:
            dice = Dice(self._world.seed, "webhook")
            self.config.secret = "".join(dice.choices("0123456789abcdef", k=64))

    async def test(self) -> int:
        """Send a test event now; return the receiver's HTTP status, `NO_ANSWER` where there was none."""
        event = _Event("webhook.test", {"message": TEST_MESSAGE}, self._world.now(), replace(self.mischief))
        return await self._post(event)

    def _note(self, event: str, order: Order) -> None:
        """Take down an event as things are at this moment; `_keep_watch` sends it."""
        if not self.config.delivers or self.mischief.lost:
            return
        arrived = order.messages[-1] if event == "otp_received" else None
        name = "otp_received" if arrived is not None else self._rows.status(order).lower()
        data = self._rows.event(order, arrived)
        mischief = replace(self.mischief)
        self._happened.append(_Event(f"order.{name}", data, self._world.now(), mischief, order.coded_sms))

    async def _keep_watch(self) -> None:
        while True:
            self._world.advance()
            while self._happened:
                self._send_off(self._happened.popleft())
            await asyncio.sleep(_TICK)

    def _send_off(self, event: _Event) -> None:
        if event.mischief.swapped and self._kept_back is None:
            self._kept_back = event
            return
        later, self._kept_back = self._kept_back, None
        events = [event] if later is None else [event, later]
        for _ in range(event.mischief.times):
            delivery = asyncio.create_task(self._deliver_all(events), name="sandbox-webhook")
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def _deliver_all(self, events: list[_Event]) -> None:
        for event in events:
            await asyncio.sleep(event.mischief.late)
            await self._deliver(event)

    async def _deliver(self, event: _Event) -> None:
        for pause in (*self._retries, 0.0):
            if not self.config.delivers:
                return
            if 200 <= await self._post(event) < 300:
                self.config.note_success()
                self._note_shown(event)
                return
            self.config.note_failure(self._world.now())
            await asyncio.sleep(pause)

    def _note_shown(self, event: _Event) -> None:
        if event.sms is not None and event.sms.shown_at is None and not event.mischief.forged:
            event.sms.shown_at = self._world.now()

    async def _post(self, event: _Event) -> int:
        told = {"event": event.name, "timestamp": iso_text(event.at), "data": event.data}
        body = json.dumps(told, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        if self.config.secret:
            headers[SIGNATURE] = f"sha256={self._signature(body, forged=event.mischief.forged)}"
        url = self.config.url
        verify = True if url.startswith("https:") else _TRUSTS_NOBODY
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False, verify=verify) as client:
                return (await client.post(url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            return NO_ANSWER

    def _signature(self, body: bytes, *, forged: bool) -> str:
        secret = f"{self.config.secret}, forged" if forged else self.config.secret
        return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class WebhookChange(Body):
    """The body that changes where events are sent. An empty text clears, what is left out or null stays."""

    webhook_url: Annotated[str, Field(max_length=2048)] | None = None
    webhook_secret: Annotated[str, Field(max_length=256)] | None = None

    def check(self) -> None:
        """Make sure that it changes something, and to an address that may be called.

        Raises:
            SmsApiError: VALIDATION_ERROR.
        """
        if self.webhook_url is None and self.webhook_secret is None:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Give webhook_url or webhook_secret.")
        if self.webhook_url and not _may_be_called(self.webhook_url):
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "webhook_url: https and a public address.")


class WebhookFace:
    """The routes by which an account says where its events go."""

    def __init__(self, world: SmsWorld, sender: WebhookSender) -> None:
        self._world = world
        self._sender = sender

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/webhook", self.show, methods=["GET"]),
            Route("/v1/webhook", self.change, methods=["PATCH"]),
            Route("/v1/webhook/test", self.test, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Answer with where events go and how they fare."""
        await enter_bare(self._world, request)
        return success(self._sender.config.row())

    async def change(self, request: Request) -> Response:
        """Send events elsewhere, and answer as `show` does.

        Raises:
            SmsApiError: VALIDATION_ERROR; nothing has changed then.
        """
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, WebhookChange)
        wanted.check()
        self._sender.change(wanted.webhook_url, wanted.webhook_secret)
        return success(self._sender.config.row())

    async def test(self, request: Request) -> Response:
        """Send a test event and answer with the receiver's status, whatever that is.

        Raises:
            SmsApiError: VALIDATION_ERROR, there is no address or nobody answers there.
        """
        await enter_bare(self._world, request)
        if not self._sender.config.url:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "No webhook_url is set.")
        status = await self._sender.test()
        if status == NO_ANSWER:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Nobody answers at webhook_url.")
        return success({"status_code": status})


def _may_be_called(url: str) -> bool:
    """Whether events may go there: https anywhere in public, and, unlike in life, this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return False
    if not host:
        return False
    if host in _LOOPBACK_NAMES:
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and _is_public(host)


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True
