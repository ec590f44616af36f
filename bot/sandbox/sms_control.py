"""The control plane of the simulated SMSCode, for the demo page and for tests in another process.

It has no authentication, because it is only ever served on loopback. Two headers are checked all the same: any web
page can make its visitor's browser call loopback, directly or through a name that resolves to it, and such a call
betrays itself by its Origin or its Host.
"""

from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.sandbox.sms_books import Books, Order
from bot.sandbox.sms_deliveries import Mischief
from bot.sandbox.sms_errors import SmsApiError
from bot.sandbox.sms_faults import Fault
from bot.sandbox.sms_guide import GUIDE
from bot.sandbox.sms_wire import Body, body_of, failure, misfit, require_json
from bot.sandbox.sms_world import SmsWorld

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
_FAULT = TypeAdapter(Fault)

NotNegative = Annotated[int, Field(ge=0)]


class IncomingSms(Body):
    """An SMS to deliver: without anything its code is drawn, with `text` alone it carries no code."""

    code: str | None = None
    text: str | None = None


class Stock(Body):
    """How many numbers of a product are left."""

    available: NotNegative


class NewBalance(Body):
    """What the account shall hold, in whole IDR."""

    balance: NotNegative


class NumbersLate(Body):
    """Whether new orders come without their number, which is known at the next look."""

    late: bool


class ProviderErrors(Body):
    """How many of the next calls that need the provider of the numbers shall fail."""

    times: NotNegative


class Guarded(Body):
    """For how many seconds the abuse guard shall take no new orders."""

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Deliveries(Body):
    """What shall happen to every event on its way; what is left out goes well."""

    late: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    times: Annotated[int, Field(ge=1)] = 1
    lost: bool = False
    forged: bool = False
    swapped: bool = False


class Down(Body):
    """Whether the API cuts every connection instead of answering."""

    down: bool


def sms_control_app(world: SmsWorld) -> Starlette:
    """Serve the script of `world` as JSON. Mount it on loopback only: whoever reaches it may do everything."""
    return Starlette(
        routes=_Control(world).routes(),
        middleware=[Middleware(_LoopbackOnly)],
        exception_handlers={SmsApiError: _refused},
    )


class _Control:
    def __init__(self, world: SmsWorld) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        return [
            Route("/world", self.show_world, methods=["GET"]),
            Route("/books", self.show_books, methods=["GET"]),
            Route("/orders/{id}/sms", self.send_sms, methods=["POST"]),
            Route("/orders/{id}/expire", self.expire, methods=["POST"]),
            Route("/products/{id:int}/stock", self.set_stock, methods=["POST"]),
            Route("/balance", self.set_balance, methods=["POST"]),
            Route("/numbers", self.set_numbers, methods=["POST"]),
            Route("/provider", self.set_provider, methods=["POST"]),
            Route("/guard", self.trip_guard, methods=["POST"]),
            Route("/deliveries", self.set_deliveries, methods=["POST"]),
            Route("/faults", self.add_fault, methods=["POST"]),
            Route("/down", self.set_down, methods=["POST"]),
        ]

    async def show_world(self, _request: Request) -> Response:
        return JSONResponse(_world_row(self._world))

    async def show_books(self, _request: Request) -> Response:
        return JSONResponse(_books_row(self._world))

    async def send_sms(self, request: Request) -> Response:
        sms = await body_of(request, IncomingSms) if await request.body() else IncomingSms()
        order_id: str = request.path_params["id"]
        return JSONResponse(asdict(self._world.arrive(order_id, sms.code, sms.text)))

    async def expire(self, request: Request) -> Response:
        order_id: str = request.path_params["id"]
        self._world.expire(order_id)
        return JSONResponse(_order_row(self._world.named(order_id), self._world.now()))

    async def set_stock(self, request: Request) -> Response:
        product_id: int = request.path_params["id"]
        stock = await body_of(request, Stock)
        self._world.set_stock(product_id, stock.available)
        return JSONResponse({"id": product_id, "available": stock.available})

    async def set_balance(self, request: Request) -> Response:
        self._world.set_balance((await body_of(request, NewBalance)).balance)
        return JSONResponse({"balance": self._world.balance})

    async def set_numbers(self, request: Request) -> Response:
        self._world.numbers_late = (await body_of(request, NumbersLate)).late
        return JSONResponse({"late": self._world.numbers_late})

    async def set_provider(self, request: Request) -> Response:
        self._world.provider_errors = (await body_of(request, ProviderErrors)).times
        return JSONResponse({"times": self._world.provider_errors})

    async def trip_guard(self, request: Request) -> Response:
        self._world.trip_abuse_guard((await body_of(request, Guarded)).seconds)
        return JSONResponse({"until": self._world.guard.until})

    async def set_deliveries(self, request: Request) -> Response:
        self._world.mischief = Mischief(**(await body_of(request, Deliveries)).model_dump())
        return JSONResponse(asdict(self._world.mischief))

    async def add_fault(self, request: Request) -> Response:
        require_json(request)
        try:
            fault = _FAULT.validate_json(await request.body())
        except ValidationError as error:
            raise misfit(error) from None
        self._world.faults.add(fault)
        return JSONResponse(asdict(fault))

    async def set_down(self, request: Request) -> Response:
        self._world.down = (await body_of(request, Down)).down
        return JSONResponse({"down": self._world.down})


class _LoopbackOnly:
    """Refuse a request that was made for, or by a page of, any place but this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._trusts(Headers(scope=scope)):
            await self._app(scope, receive, send)
        else:
            refusal = failure(403, "FORBIDDEN", "The control plane answers this machine only.")
            await refusal(scope, receive, send)

    def _trusts(self, headers: Headers) -> bool:
        places = [f"//{headers.get('host', '')}", *headers.getlist("origin")]
        return all(_is_loopback(place) for place in places)


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _LOOPBACK_NAMES
    except ValueError:
        return False


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SmsApiError):
        raise error
    return GUIDE.refuse(error.code, error.message)


def _world_row(world: SmsWorld) -> dict[str, object]:
    now = world.now()
    products = world.products()
    return {
        "now": now,
        "balance": world.balance,
        "down": world.down,
        "requests_last_minute": world.requests_last_minute(),
        "requests_per_minute": world.requests_per_minute,
        "live_orders": [_order_row(order, now) for order in world.live_orders()],
        "stock": {
            "products": len(products),
            "sold_out": sum(product.available == 0 for product in products),
            "units": sum(product.available for product in products),
        },
        "books": _totals_row(world.books),
        "faults": {"queued": len(world.faults.queued), "struck": len(world.faults.log)},
        "guarded_seconds": max(0.0, world.guard.until - now),
        "webhook": {"delivers": world.webhook.delivers, "failures": world.webhook.failures},
    }


def _totals_row(books: Books) -> dict[str, object]:
    return {
        "orders": len(books.orders),
        "messages": len(books.messages),
        "charged": books.charged,
        "refunded": books.refunded,
        "spent": books.spent,
        "answers_429": books.answers_429,
    }


def _books_row(world: SmsWorld) -> dict[str, object]:
    books = world.books
    now = world.now()
    return {
        "totals": _totals_row(books),
        "opening": books.opening,
        "balance": books.balance,
        "charges": [asdict(charge) for charge in books.charges],
        "refunds": [asdict(refund) for refund in books.refunds],
        "adjustments": [asdict(adjustment) for adjustment in books.adjustments],
        "orders": [_order_row(order, now) for order in books.orders.values()],
        "messages": [asdict(sms) for sms in books.messages],
        "requests": [
            {"method": method, "route": route, "count": count} for (method, route), count in books.requests.items()
        ],
        "answers": [{"status": status, "count": count} for status, count in books.answers.items()],
        "faults": [asdict(event) for event in world.faults.log],
    }


def _order_row(order: Order, now: float) -> dict[str, object]:
    """Describe an order with its inner life; ages and times left are in seconds."""
    sms = order.coded_sms
    return {
        "order_id": order.id,
        "number": order.number,
        "product_id": order.product_id,
        "country": order.country,
        "platform": order.platform,
        "operator": order.operator,
        "phone_number": order.phone_number,
        "price": order.price,
        "status": order.status,
        "otp_code": None if sms is None else sms.code,
        "messages": len(order.messages),
        "created_at": order.created_at,
        "expires_at": order.expires_at,
        "arrives_at": order.arrives_at,
        "ended_at": order.ended_at,
        "reactivates": order.reactivates,
        "age_seconds": now - order.created_at,
        "seconds_left": max(0.0, order.expires_at - now),
    }
