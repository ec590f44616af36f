"""Events that the simulated SMSCode sends: signed, retried, and switched off after too many failures."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from bot.sandbox.sms_books import Order
from bot.sandbox.sms_wire import utc_text
from bot.sandbox.sms_world import SmsWorld

SIGNATURE = "X-Webhook-Signature"
_MOST_FAILURES = 10
_TICK = 0.02
"""Real seconds between two looks for what is due: time moves nothing by itself in the world."""

_NOTHING_SAID = 0


@dataclass(slots=True)
class WebhookConfig:
    """Where events are sent, and why not any more."""

    url: str = ""
    secret: str = ""
    disabled_at: str | None = None
    disabled_reason: str | None = None
    failures: int = 0

    def row(self) -> dict[str, object]:
        """Return the configuration as the API shows it."""
        return {
            "webhook_url": self.url or None,
            "webhook_secret": self.secret or None,
            "webhook_disabled_at": self.disabled_at,
            "webhook_disabled_reason": self.disabled_reason,
            "webhook_consecutive_failures": self.failures,
        }


@dataclass(slots=True)
class Mischief:
    """What may happen to deliveries on their way. `late` are real seconds; `lost` ones are never sent."""

    late: float = 0.0
    times: int = 1
    lost: bool = False
    forged: bool = False


class WebhookSender:
    """Sends what happens in a world, as an async context manager: events leave only while it is entered.

    Deliveries run side by side, so they may arrive in any order. `retries` are the real seconds before each repeat of
    one that was not taken.
    """

    def __init__(self, world: SmsWorld, retries: tuple[float, ...] = (0.2, 0.5, 1.0)) -> None:
        self.config = WebhookConfig()
        self.mischief = Mischief()
        self.describe: Callable[[Order], dict[str, object]] = lambda order: {"order_id": order.number}
        self._world = world
        self._retries = retries
        self._deliveries: set[asyncio.Task[None]] = set()
        self._clock: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(timeout=5.0, trust_env=False)
        world.listeners.append(self._note)

    async def __aenter__(self) -> Self:
        self._clock = asyncio.create_task(self._tick(), name="sandbox-webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for task in (self._clock, *self._deliveries) if task is not None]
        self._clock = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def change(self, url: str | None, secret: str | None) -> None:
        """Send elsewhere, or sign otherwise; either switches a stopped delivery on again."""
        config = self.config
        config.url = config.url if url is None else url
        config.secret = config.secret if secret is None else secret
        config.disabled_at = config.disabled_reason = None
        config.failures = 0

    async def test(self) -> int:
        """Send a test event now; return the receiver's HTTP status, 0 if it said nothing."""
        return await self._post("webhook.test", {"message": "This is a test event."})

    def _note(self, event: str, order: Order) -> None:
        if self._clock is None or not self.config.url or self.config.disabled_at or self.mischief.lost:
            return
        data = self.describe(order)
        for _ in range(self.mischief.times):
            delivery = asyncio.create_task(self._deliver(f"order.{event}", data), name="sandbox-webhook")
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)

    async def _tick(self) -> None:
        while True:
            self._world.advance()
            await asyncio.sleep(_TICK)

    async def _deliver(self, event: str, data: dict[str, object]) -> None:
        await asyncio.sleep(self.mischief.late)
        for pause in (*self._retries, None):
            if self.config.disabled_at:
                return
            if 200 <= await self._post(event, data) < 300:
                self.config.failures = 0
                return
            self._note_failure()
            if pause is not None:
                await asyncio.sleep(pause)

    def _note_failure(self) -> None:
        self.config.failures += 1
        if self.config.failures >= _MOST_FAILURES and not self.config.disabled_at:
            self.config.disabled_at = utc_text(self._world.now())
            self.config.disabled_reason = f"{_MOST_FAILURES} deliveries in a row have failed"

    async def _post(self, event: str, data: dict[str, object]) -> int:
        told = {"event": event, "timestamp": utc_text(self._world.now()), "data": data}
        body = json.dumps(told).encode()
        secret = f"{self.config.secret}{'?' if self.mischief.forged else ''}"
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", SIGNATURE: f"sha256={signature}"}
        try:
            return (await self._client.post(self.config.url, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            return _NOTHING_SAID
