"""An SMSCode account for a test: the simulator behind a real socket, and an adapter that speaks to it.

The adapter under test is only used as an `SmsPort`; what really happened is read from the simulator's books.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.clock import Clock
from bot.domain.orders import Offer, RemoteOrder
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Contract, Order, SmsWorld, WebhookSender, sms_app
from bot.sms.budget import RequestBudget
from bot.sms.client import make_client
from bot.sms.guide import GuideAdapter
from bot.sms.official import OfficialAdapter
from bot.sms.port import CreateRequest, SmsPort, Terms
from bot.sms.wire import TIMEOUT, Wire

TOKEN: Final = "tok-5f2c9a71b8e04d36"
BALANCE: Final = 150_000

ADAPTERS: Final[Mapping[Contract, Callable[[Wire], SmsPort]]] = {"guide": GuideAdapter, "official": OfficialAdapter}
"""Every contract the desk speaks; each must pass the same tests."""

PLACES: Final[Mapping[Contract, tuple[str, str]]] = {
    "guide": ("indonesia", "whatsapp"),
    "official": ("Indonesia", "WhatsApp"),
}
"""One and the same country and platform, as each contract names them."""

QUICK: Final = httpx.Timeout(connect=1.0, read=0.25, write=1.0, pool=0.25)
"""Timeouts short enough to wait for, in seconds."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer as it goes over the wire."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Meddler:
    """A proxy before the simulator, scripted to spoil answers.

    `instead` is given to the next request, which goes no further. `spoil` changes an answer after its request had
    its effect. `seen` keeps the headers of every request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.instead: Reply | None = None
        self.spoil: Callable[[Reply], Reply] | None = None
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.instead is not None:
            await _send_whole(send, self.instead)
        elif self.spoil is not None:
            await _send_whole(send, self.spoil(await self._effect(scope, receive)))
        else:
            await self._app(scope, receive, send)

    async def _effect(self, scope: Scope, receive: Receive) -> Reply:
        status, body = 0, bytearray()

        async def hold(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            body.extend(message.get("body", b""))

        await self._app(scope, receive, hold)
        return Reply(status, bytes(body), {"content-type": "application/json"})


class Street:
    """One address on loopback whose tenants change, and a client of it: making these for each test takes too long."""

    tenant: ASGIApp | None = None
    url: str
    client: httpx.AsyncClient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.tenant is not None, "a request came after its test"
        await self.tenant(scope, receive, send)


async def _send_whole(send: Send, reply: Reply) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


@dataclass
class Bench:
    """One account with everything a test pulls at."""

    contract: Contract
    clock: Clock
    url: str
    world: SmsWorld
    meddler: Meddler
    client: httpx.AsyncClient
    budget: RequestBudget
    wire: Wire
    sms: SmsPort
    webhooks: WebhookSender

    @property
    def arrived(self) -> int:
        """Requests that reached the simulator."""
        return self.world.books.requests.total()

    @asynccontextmanager
    async def stranger(self, token: str) -> AsyncIterator["Bench"]:
        """The same account for a desk that presents `token`."""
        async with make_client(self.url, token) as client:
            yield _connect(self.contract, self.clock, self.url, client, self.world, self.meddler, self.webhooks)

    @property
    def place(self) -> tuple[str, str]:
        """Indonesia and WhatsApp, in the contract's own words."""
        return PLACES[self.contract]

    def booked(self, shown: RemoteOrder) -> Order:
        """The order in the simulator's books."""
        return self.world.named(shown.remote_id)

    async def offer(self) -> Offer:
        """The first offer in stock for WhatsApp in Indonesia."""
        offers = await self.sms.offers(*self.place)
        return next(offer for offer in offers if offer.in_stock)

    def request(self, offer: Offer, key: str = "k1") -> CreateRequest:
        return CreateRequest(self.sms.create_body(offer, Terms(offer.price)), key)

    async def order(self) -> RemoteOrder:
        """Rent a number."""
        return await self.sms.create(self.request(await self.offer()))


@asynccontextmanager
async def open_street() -> AsyncIterator[Street]:
    street = Street()
    async with LoopbackServer(street) as server, make_client(server.url, TOKEN) as client:
        street.url, street.client = server.url, client
        yield street


@asynccontextmanager
async def open_bench(contract: Contract, clock: Clock, street: Street) -> AsyncIterator[Bench]:
    """Let a fresh account move into `street` and connect an adapter to it."""
    world = SmsWorld(token=TOKEN, balance=BALANCE, arrival=None, requests_per_minute=None)
    webhooks = WebhookSender(world, retries=(0.01, 0.01))
    meddler = Meddler(sms_app(world, contract, webhooks))
    street.tenant = meddler
    street.client.timeout = TIMEOUT
    bench = _connect(contract, clock, street.url, street.client, world, meddler, webhooks)
    yield bench
    await bench.budget.close()
    street.tenant = None


def _connect(
    contract: Contract,
    clock: Clock,
    url: str,
    client: httpx.AsyncClient,
    world: SmsWorld,
    meddler: Meddler,
    webhooks: WebhookSender,
) -> Bench:
    budget = RequestBudget(100_000, clock)
    wire = Wire(client, budget, clock)
    return Bench(contract, clock, url, world, meddler, client, budget, wire, ADAPTERS[contract](wire), webhooks)
