"""The face of the simulated SMSCode that the vendor's OpenAPI description and SDK know."""

import asyncio
from typing import Final

from pydantic import Field, HttpUrl, PositiveInt
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.sandbox.sms_books import Order, OrderStatus
from bot.sandbox.sms_catalog import Product
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_idempotency import KeyedRequests
from bot.sandbox.sms_orders import OrderRows
from bot.sandbox.sms_shelves import Shelves
from bot.sandbox.sms_webhooks import WebhookSender
from bot.sandbox.sms_wire import Body, body_of, enter, failure, query_of, refuse_body, show, success, utc_text
from bot.sandbox.sms_world import SmsWorld

SPELLING: Final = {
    ErrorCode.PRODUCT_UNAVAILABLE: ErrorCode.NO_OFFER_AVAILABLE,
    ErrorCode.ORDER_NOT_FOUND: ErrorCode.NOT_FOUND,
    ErrorCode.ORDER_NOT_CANCELLABLE: ErrorCode.CONFLICT,
    ErrorCode.ORDER_ENDED: ErrorCode.CONFLICT,
    ErrorCode.RATE_LIMITED: ErrorCode.RATE_LIMIT_EXCEEDED,
}
"""What the world calls in the guide's words, in the words of this contract."""

_STATUSES: Final = {
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.INSUFFICIENT_BALANCE: 409,
    ErrorCode.CONFLICT: 409,
    ErrorCode.CANCEL_TOO_EARLY: 409,
    ErrorCode.REQUEST_IN_PROGRESS: 409,
    ErrorCode.VALIDATION_ERROR: 422,
    ErrorCode.NO_OFFER_AVAILABLE: 422,
    ErrorCode.PROVIDER_ERROR: 422,
    ErrorCode.IDEMPOTENCY_KEY_REUSED: 422,
    ErrorCode.RATE_LIMIT_EXCEEDED: 429,
    ErrorCode.TEMP_BANNED_ABUSE_GUARD: 429,
}

TOO_LARGE: Final = PlainTextResponse("Payload Too Large", 413)
"""The one answer of this contract that comes without an envelope."""

_LONGEST_PAGE = 1000
_LONGEST_LIST = 100


class CreateOrder(Body):
    """The body of an order: one product, or a kind of product with what is wanted of it."""

    product_id: PositiveInt | None = None
    catalog_product_id: PositiveInt | None = None
    max_price: PositiveInt | None = None
    min_price: PositiveInt | None = None
    policy: str | None = Field(default=None, pattern="^(cheapest|best_success)$")
    operator_id: PositiveInt | None = None
    prefer_provider: str | None = None
    quantity: int = Field(default=1, ge=1, le=1)

    @property
    def narrowed(self) -> bool:
        """Whether it says something that only a kind of product understands."""
        narrowing = (self.max_price, self.min_price, self.policy, self.operator_id, self.prefer_provider)
        return any(value is not None for value in narrowing)


class OneOrder(Body):
    """The body of everything that is done to an order."""

    id: PositiveInt


class Reactivate(OneOrder):
    """The body of renting a number again."""

    max_price: PositiveInt | None = None


class WebhookChange(Body):
    """What is to change about where events are sent."""

    webhook_url: HttpUrl | None = None
    webhook_secret: str | None = Field(default=None, min_length=1, max_length=256)


class OfficialFace:
    """The routes of the official contract over one world, whose events `webhooks` send."""

    def __init__(self, world: SmsWorld, webhooks: WebhookSender) -> None:
        self._world = world
        self._shelves = Shelves(world)
        self._keyed = KeyedRequests(world.kept_answers)
        self._rows = OrderRows(world, self._shelves)
        self._webhooks = webhooks
        webhooks.describe = self._rows.event

    def routes(self) -> list[Route]:
        """Return the routes; every endpoint refuses with `SmsApiError`, for `refusal_answer` to put on the wire."""
        return [
            Route("/v1/balance", self.balance, methods=["GET"]),
            Route("/v1/catalog/countries", self.countries, methods=["GET"]),
            Route("/v1/catalog/services", self.services, methods=["GET"]),
            Route("/v1/catalog/operators", self.operators, methods=["GET"]),
            Route("/v1/catalog/products", self.products, methods=["GET"]),
            Route("/v1/catalog/exchange-rate", self.exchange_rate, methods=["GET"]),
            Route("/v1/orders", self.list_orders, methods=["GET"]),
            Route("/v1/orders/active", self.active, methods=["GET"]),
            Route("/v1/orders/create", self.create, methods=["POST"]),
            Route("/v1/orders/cancel", self.cancel, methods=["POST"]),
            Route("/v1/orders/finish", self.finish, methods=["POST"]),
            Route("/v1/orders/resend", self.resend, methods=["POST"]),
            Route("/v1/orders/reactivate", self.reactivate, methods=["POST"]),
            Route("/v1/orders/{id:int}", self.read, methods=["GET"]),
            Route("/v1/orders/{id:int}/reactivate-options", self.reactivate_options, methods=["GET"]),
            Route("/v1/webhook", self.webhook, methods=["GET", "PATCH"]),
            Route("/v1/webhook/test", self.test_webhook, methods=["POST"]),
        ]

    async def balance(self, request: Request) -> Response:
        """Answer with the balance in whole IDR."""
        await self._enter(request)
        return success({"currency": "IDR", "balance": self._world.balance})

    async def countries(self, request: Request) -> Response:
        """Answer with every country."""
        await self._enter(request)
        return _page(self._shelves.countries(), 1, _LONGEST_PAGE)

    async def services(self, request: Request) -> Response:
        """Answer with every service, or with those on sale in a country."""
        query = await self._enter(request, "country_id")
        return _page(self._shelves.services(_number(query, "country_id")), 1, _LONGEST_PAGE)

    async def operators(self, request: Request) -> Response:
        """Answer with the mobile networks of a country's numbers for a service."""
        query = await self._enter(request, "country_id", "platform_id")
        country, platform = _number(query, "country_id"), _number(query, "platform_id")
        if country is None or platform is None:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "country_id and platform_id are required.")
        return success(self._shelves.operators(country, platform))

    async def products(self, request: Request) -> Response:
        """Answer with a page of the products that fit."""
        query = await self._enter(request, "country_id", "platform_id", "operator_id", "limit", "page", "sort")
        found = self._shelves.pair(_number(query, "country_id"), _number(query, "platform_id"))
        operator = _number(query, "operator_id")
        if operator is not None:
            found = [product for product in found if self._shelves.operator_id(product.operator) == operator]
        rows = [self._shelves.product_row(product) for product in _sorted(found, query.get("sort"))]
        limit = _number(query, "limit", _LONGEST_PAGE) or _LONGEST_PAGE
        return _page(rows, _number(query, "page") or 1, limit)

    async def exchange_rate(self, request: Request) -> Response:
        """Answer with what a dollar costs."""
        query = await self._enter(request, "pair")
        if query.get("pair", "USD/IDR") != "USD/IDR":
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "pair: only USD/IDR.")
        return success({"pair": "USD/IDR", "rate": 16_250, "rate_as_of": utc_text(self._world.now())})

    async def create(self, request: Request) -> Response:
        """Rent a number once for its key, charge its price, and answer with the new order."""
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, CreateOrder)
        if (wanted.product_id is None) == (wanted.catalog_product_id is None):
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Exactly one of product_id and catalog_product_id.")
        if wanted.product_id is not None and wanted.narrowed:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Only catalog_product_id can be narrowed.")
        return await self._keyed.once(request, lambda: self._create(wanted))

    async def _create(self, wanted: CreateOrder) -> Response:
        if self._world.create_takes:
            await asyncio.sleep(self._world.create_takes)
        self._check_guard()
        if self._world.provider_errors:
            self._world.provider_errors -= 1
            raise SmsApiError(ErrorCode.PROVIDER_ERROR, "The provider has no number.")
        product = self._world.product(wanted.product_id) if wanted.product_id else self._choose(wanted)
        return self._created(self._world.create_order(product.id))

    def _choose(self, wanted: CreateOrder) -> Product:
        """Pick among the products of a kind: the cheapest, or the dearest, which succeeds best."""
        fits = [
            product
            for product in self._shelves.of_kind(wanted.catalog_product_id or 0)
            if product.available
            and (wanted.max_price is None or product.price <= wanted.max_price)
            and (wanted.min_price is None or product.price >= wanted.min_price)
            and (wanted.operator_id is None or self._shelves.operator_id(product.operator) == wanted.operator_id)
        ]
        if not fits:
            raise SmsApiError(ErrorCode.NO_OFFER_AVAILABLE, "No product fits.")
        choose = max if wanted.policy == "best_success" else min
        return choose(fits, key=lambda product: product.price)

    def _created(self, order: Order) -> Response:
        row = self._rows.whole(order)
        if self._world.numbers_late:
            row["phone_number"] = None
        return success({"orders": [row], "failed_count": 0})

    async def read(self, request: Request) -> Response:
        """Answer with an order as it is now."""
        await self._enter(request)
        return self._shown(request, self._order(request.path_params["id"]))

    async def list_orders(self, request: Request) -> Response:
        """Answer with a stretch of all orders, the newest first."""
        query = await self._enter(request, "limit", "offset", "status")
        status = query.get("status")
        found = [order for order in self._world.books.orders.values() if status in (None, self._rows.status(order))]
        limit = min(_number(query, "limit") or 20, _LONGEST_LIST)
        offset = _number(query, "offset", least=0) or 0
        stretch = list(reversed(found))[offset : offset + limit]
        rows = [self._row(request, order) for order in stretch]
        return success(rows, {"limit": limit, "offset": offset, "count": len(rows)})

    async def active(self, request: Request) -> Response:
        """Answer with every order that lives, without its number and its charge."""
        await self._enter(request)
        live = [order for order in self._world.live_orders() if order.status in _LIVE]
        for order in live:
            self._note_shown(request, order)
        return success([self._rows.brief(order) for order in live])

    async def cancel(self, request: Request) -> Response:
        """End an order that has no SMS, and give its price back."""
        order = await self._named(request)
        if order.messages or not order.live:
            raise SmsApiError(ErrorCode.CONFLICT, f"The order is {self._rows.status(order)}.")
        try:
            self._world.check_cancel(order)
        except SmsApiError as error:
            raise self._with_window(error, order) from None
        self._world.cancel_order(order.id)
        back = sum(refund.amount for refund in self._world.books.refunds_of(order.id))
        return success(
            {
                "order_id": order.number,
                "status": self._rows.status(order),
                "refund_amount": back,
                "new_balance": self._world.balance,
            }
        )

    async def finish(self, request: Request) -> Response:
        """Complete an order that has its SMS."""
        order = await self._named(request)
        self._world.finish_order(order)
        return success({"order_id": order.number, "status": self._rows.status(order)})

    async def resend(self, request: Request) -> Response:
        """Let an order wait for one more SMS."""
        order = await self._named(request)
        self._world.resend_order(order)
        return success({"order_id": order.number, "status": self._rows.status(order), "resent": True})

    async def reactivate(self, request: Request) -> Response:
        """Rent the number of a completed order again, once for its key."""
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, Reactivate)
        order = self._order(wanted.id)

        async def act() -> Response:
            self._check_guard()
            if wanted.max_price is not None and wanted.max_price < order.price:
                raise SmsApiError(ErrorCode.NO_OFFER_AVAILABLE, "It costs more than that.")
            return self._created(self._world.reactivate_order(order))

        return await self._keyed.once(request, act)

    async def reactivate_options(self, request: Request) -> Response:
        """Answer with what a completed order's number costs again."""
        await self._enter(request)
        order = self._order(request.path_params["id"])
        if order.status != OrderStatus.COMPLETED:
            raise SmsApiError(ErrorCode.CONFLICT, "Only a completed order can be reactivated.")
        return success({"cost": order.price})

    async def webhook(self, request: Request) -> Response:
        """Answer with where events are sent, after changing it where asked to."""
        enter(self._world, request)
        query_of(request)
        if request.method == "PATCH":
            change = await body_of(request, WebhookChange)
            url = None if change.webhook_url is None else str(change.webhook_url)
            self._webhooks.change(url, change.webhook_secret)
        else:
            await refuse_body(request)
        return success(self._webhooks.config.row())

    async def test_webhook(self, request: Request) -> Response:
        """Send a test event now and answer with what the receiver said."""
        enter(self._world, request)
        query_of(request)
        if not self._webhooks.config.url:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "No webhook_url is set.")
        return success({"status_code": await self._webhooks.test()})

    async def _enter(self, request: Request, *allowed: str) -> dict[str, str]:
        """Let in a request without a body; return its query."""
        enter(self._world, request)
        query = query_of(request, *allowed)
        await refuse_body(request)
        return query

    async def _named(self, request: Request) -> Order:
        """The order that a body names."""
        enter(self._world, request)
        query_of(request)
        return self._order((await body_of(request, OneOrder)).id)

    def _order(self, number: int) -> Order:
        return self._world.order_by_number(number)

    def _check_guard(self) -> None:
        try:
            self._world.check_guard()
        except SmsApiError as error:
            left = error.retry_after or 0
            details = {"until": utc_text(self._world.now() + left), "tier": "hour", "retry_after_seconds": left}
            raise SmsApiError(error.code, error.message, retry_after=left, details=details) from None

    def _with_window(self, error: SmsApiError, order: Order) -> SmsApiError:
        if error.code is not ErrorCode.CANCEL_TOO_EARLY:
            return error
        details = {"cancel_available_at": utc_text(order.created_at + self._world.cancel_window)}
        return SmsApiError(error.code, error.message, details=details)

    def _shown(self, request: Request, order: Order) -> Response:
        return success(self._row(request, order))

    def _row(self, request: Request, order: Order) -> dict[str, object]:
        self._note_shown(request, order)
        return self._rows.whole(order)

    def _note_shown(self, request: Request, order: Order) -> None:
        if order.coded_sms is not None:
            show(request, order.coded_sms)


_LIVE: Final = frozenset({OrderStatus.WAITING, OrderStatus.OTP_RECEIVED})


async def official_refusal(_request: Request, error: Exception) -> Response:
    """Answer what the world refuses with this contract's code, status and envelope."""
    if not isinstance(error, SmsApiError):
        raise error
    headers = None if error.retry_after is None else {"retry-after": str(error.retry_after)}
    code = SPELLING.get(error.code, error.code)
    return failure(_STATUSES[code], code, error.message, headers, error.details)


async def official_routing(_request: Request, error: Exception) -> Response:
    """Answer an unknown route or a wrong method in the usual envelope."""
    if not isinstance(error, HTTPException):
        raise error
    code = ErrorCode.METHOD_NOT_ALLOWED if error.status_code == 405 else ErrorCode.NOT_FOUND
    return failure(error.status_code, code, error.detail, error.headers)


def _number(query: dict[str, str], name: str, most: int = 2**31, *, least: int = 1) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{name}: a whole number from {least} to {most}.")
    return int(text[:12])


def _sorted(products: list[Product], order: str | None) -> list[Product]:
    if order is None:
        return products
    field, _, direction = order.rpartition("_")
    if field not in {"price", "available", "name"} or direction not in {"asc", "desc"}:
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, "sort: price, available or name, then _asc or _desc.")
    return sorted(products, key=lambda product: getattr(product, field), reverse=direction == "desc")


def _page(rows: list[dict[str, object]], page: int, limit: int) -> Response:
    shown = rows[(page - 1) * limit : page * limit]
    return success(shown, {"page": page, "limit": limit, "count": len(shown)})
