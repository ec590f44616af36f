"""An account of the simulated SMSCode that speaks the official contract, over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import httpx
from smscode import AsyncSmscodeClient

from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Order, Product, SmsWorld, WebhookSender, sms_app
from tests.sandbox.clients import http_client

TOKEN: Final = "the-right-token"
TIMEOUT: Final = 10.0

CAPABILITIES: Final = {
    "can_finish",
    "can_resend",
    "can_cancel",
    "can_replace",
    "can_reactivate",
    "resend_available_at",
    "cancel_available_at",
    "replace_available_at",
}


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class Account:
    """One world, served; `api` is a plain client and `sdk` the vendor's own, on the same connections."""

    clock: Clock
    world: SmsWorld
    api: httpx.AsyncClient
    sdk: AsyncSmscodeClient
    _keys: "count[int]"

    def cheapest(self, country: str = "indonesia", platform: str = "whatsapp") -> Product:
        """The cheapest product in stock."""
        return min(
            (product for product in self.world.products(country, platform) if product.available),
            key=lambda product: product.price,
        )

    def kind(self, country: str = "indonesia", platform: str = "whatsapp") -> int:
        """The id that all products of a pair share."""
        return self.world.names.kinds.of((country, platform))

    def fresh_key(self) -> str:
        """An idempotency key that was not used yet."""
        return f"key_{next(self._keys)}"

    async def create(self, key: str | None = None, **body: Any) -> httpx.Response:
        """Post an order; without a body, one for WhatsApp in Indonesia."""
        return await self.api.post(
            "/v1/orders/create",
            json=body or {"catalog_product_id": self.kind()},
            headers={"idempotency-key": key or self.fresh_key()},
        )

    async def order(self) -> Order:
        """Rent a number for WhatsApp in Indonesia."""
        answer = await self.create()
        assert answer.status_code == 200
        return self.world.order_by_number(answer.json()["data"]["orders"][0]["id"])

    async def post(self, action: str, order: Order, **more: Any) -> httpx.Response:
        """Ask for something to be done to an order."""
        headers = {"idempotency-key": self.fresh_key()} if action == "reactivate" else {}
        return await self.api.post(f"/v1/orders/{action}", json={"id": order.number, **more}, headers=headers)

    async def read(self, order: Order) -> Any:
        """What the API says of an order."""
        return await self.get(f"/v1/orders/{order.number}")

    async def active(self) -> Any:
        """What the list of live orders says."""
        return await self.get("/v1/orders/active")

    async def get(self, path: str, **query: Any) -> Any:
        """The data of a sound answer."""
        answer = await self.api.get(path, params=query)
        body = answer.json()
        assert answer.status_code == 200, body
        assert body["success"] is True
        return body["data"]


@asynccontextmanager
async def open_account(webhooks: WebhookSender | None = None, **options: Any) -> AsyncIterator[Account]:
    """Serve a world that moves by a test's clock, or the one whose events `webhooks` sends."""
    clock = Clock()
    world = SmsWorld(**{"token": TOKEN, "now": clock, "arrival": None, "requests_per_minute": None, **options})
    async with serve_account(world, clock, webhooks) as account:
        yield account


@asynccontextmanager
async def serve_account(world: SmsWorld, clock: Clock, webhooks: WebhookSender | None = None) -> AsyncIterator[Account]:
    """Serve a world that is there already."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        LoopbackServer(sms_app(world, "official", webhooks)) as server,
        http_client(server.url, headers=headers, timeout=TIMEOUT) as client,
        AsyncSmscodeClient(token=TOKEN, base_url=server.url, client=client) as sdk,
    ):
        yield Account(clock, world, client, sdk, count(1))


def assert_refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is this refusal, whole and in its envelope; returns what it says beside code and message."""
    body = answer.json()
    error = body["error"]
    asked = f"{answer.request.method} {answer.request.url} {answer.request.content[:200]!r}"
    assert (answer.status_code, error["code"]) == (status, code), (asked, error)
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert error["message"]
    assert answer.headers["x-request-id"].startswith("req_")
    assert set(error) <= {"code", "message", "details"}
    return dict(error.get("details", {}))
